"""What MkDocs asks while it builds the site: the order of the pages, and the pages made from configs and catalogue."""

from pathlib import Path

from catalogue_page import page as catalogue
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from options_page import page as options

GENERATED = {"options.md": options, "catalogue.md": catalogue}
GUIDES = ("images", "recipes", "adopt", "inspect", "compare", "tracking", "export", "keep", "method", "extend")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List every page that is there, in the order in which a user wants them."""
    docs = Path(config.docs_dir)
    config.nav = [
        {"Convarium": "index.md"},
        {"Quick start": "quick-start.md"},
        {"Concepts": "concepts.md"},
        {"How to": _guides(docs)},
        {"Options": "options.md"},
        {"Catalogue": "catalogue.md"},
        {"Results": ["results/README.md", *_results(docs)]},
        {"Mistakes": "mistakes.md"},
        {"Architecture": "architecture.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, made in GENERATED.items():
        files.append(File.generated(config, name, content=made()))
    return files


def _guides(docs: Path) -> list[str]:
    there = {path.stem for path in (docs / "how-to").glob("*.md")}
    ordered = [name for name in GUIDES if name in there] + sorted(there - {*GUIDES})
    return [f"how-to/{name}.md" for name in ordered]


def _results(docs: Path) -> list[str]:
    return [f"results/{path.name}" for path in sorted((docs / "results").glob("*.md")) if path.stem != "README"]
