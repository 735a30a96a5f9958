"""What MkDocs asks while it builds the site: the order of the pages, those made from configs and catalogue, search."""

import json
from functools import cache
from pathlib import Path

from catalogue_page import page as catalogue
from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from options_page import build_pages

GUIDES = (
    "images", "recipes", "adopt", "sweeps", "search", "workers", "inspect", "compare", "tracking", "export", "keep",
    "module", "method", "space", "extend",
)  # fmt: skip
HOOKS = Path(__file__).parent


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List every page that is there, in the order in which a user wants them."""
    docs = Path(config.docs_dir)
    config.mdx_configs["toc"]["slugify"] = _build_anchor
    config.nav = [
        {"Convarium": "index.md"},
        {"Quick start": "quick-start.md"},
        {"Concepts": "concepts.md"},
        {"How to": _guides(docs)},
        {"Clusters": "clusters.md"},
        {"Options": list(_build_option_pages())},
        {"Catalogue": "catalogue.md"},
        {"Results": ["results/README.md", *_results(docs)]},
        {"Mistakes": "mistakes.md"},
        {"Architecture": "architecture.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, text in {**_build_option_pages(), "catalogue.md": catalogue()}.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Put a search in place of MkDocs' own, which works on a server only."""
    folder = Path(config.site_dir, "search")
    index = json.loads((folder / "search_index.json").read_text(encoding="utf-8"))
    documents = json.dumps(index["docs"], ensure_ascii=False)
    (folder / "index.js").write_text(f"var searchDocuments = {documents};\n", encoding="utf-8")
    (folder / "main.js").write_text((HOOKS / "search.js").read_text(encoding="utf-8"), encoding="utf-8")
    for name in ("worker.js", "search_index.json"):
        (folder / name).unlink()


@cache
def _build_option_pages() -> dict[str, str]:
    return build_pages()


def _build_anchor(heading: str, separator: str) -> str:
    """Return the anchor of a heading; one that begins with a digit is no selector to the scripts of the theme."""
    anchor: str = slugify(heading, separator)
    return anchor if anchor[:1].isalpha() else f"section-{anchor}"


def _guides(docs: Path) -> list[str]:
    there = {path.stem for path in (docs / "how-to").glob("*.md")}
    ordered = [name for name in GUIDES if name in there] + sorted(there - {*GUIDES})
    return [f"how-to/{name}.md" for name in ordered]


def _results(docs: Path) -> list[str]:
    return [f"results/{path.name}" for path in sorted((docs / "results").glob("*.md")) if path.stem != "README"]
