// The site's search, in place of MkDocs' own: a page that was opened from the disk may start no worker and read no
// file but scripts, so the index comes as a script (index.js), when somebody is about to search.
document.addEventListener("DOMContentLoaded", function () {
  var index = null, documents = {}, isRequested = false;
  var input = document.getElementById("mkdocs-search-query");
  var list = document.getElementById("mkdocs-search-results");

  function loadScript(name, then) {
    var script = document.createElement("script");
    script.src = base_url + "/search/" + name;
    script.onload = then;
    document.head.appendChild(script);
  }

  function prepare() {
    if (isRequested) return;
    isRequested = true;
    loadScript("lunr.js", function () { loadScript("index.js", buildIndex); });
  }

  function buildIndex() {
    // The parts of compression.magnitude.sparsity=0.9 are words as well.
    lunr.tokenizer.separator = /[\s\-=.,:;\/()\[\]]+/;
    index = lunr(function () {
      this.field("title", { boost: 10 });
      this.field("text");
      this.ref("location");
      searchDocuments.forEach(function (page) { this.add(page); documents[page.location] = page; }, this);
    });
    showResults();
  }

  function findPages(typed) {
    var words = typed.toLowerCase().split(lunr.tokenizer.separator).filter(Boolean);
    return index.query(function (query) {
      words.forEach(function (word) {
        query.term(word, { boost: 10 });
        query.term(word, { usePipeline: false, wildcard: lunr.Query.wildcard.TRAILING });
      });
    }).slice(0, 50).map(function (found) { return documents[found.ref]; });
  }

  function showResults() {
    list.textContent = "";
    if (index === null || input.value.length < 2) return;
    var pages = findPages(input.value);
    if (pages.length === 0) list.textContent = list.getAttribute("data-no-results-text") || "No results found";
    pages.forEach(function (page) {
      var link = document.createElement("a"), title = document.createElement("h3"), text = document.createElement("p");
      link.href = base_url + "/" + page.location;
      link.textContent = page.title;
      title.appendChild(link);
      text.textContent = page.text.substring(0, 200);
      var result = document.createElement("article");
      result.append(title, text);
      list.appendChild(result);
    });
  }

  document.getElementById("mkdocs_search_modal").addEventListener("show.bs.modal", prepare);
  input.addEventListener("focus", prepare);
  input.addEventListener("input", showResults);
});
