"""Every architecture of ours passes the suite for outside ones, and one of each library does."""

from convarium.config.places import files, ours
from convarium.conformance import ArchitectureSuite

LIBRARIES = {"timm": "test_efficientnet", "torchvision": "squeezenet1_1"}

for option in files(ours("conf") / "architecture"):
    title = "Test" + option.title().replace("/", "").replace("_", "")
    fields: dict[str, object] = {"architecture": option}
    if option in LIBRARIES:
        fields["overrides"] = (f"architecture.name={LIBRARIES[option]}", "dataset.img_size=32")
    globals()[title] = type(title, (ArchitectureSuite,), fields)
