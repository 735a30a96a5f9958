"""One network of each family of ours passes the suite for outside ones, the large families in a small form."""

from convarium.conformance import ArchitectureSuite

SMALL: dict[str, tuple[str, ...]] = {
    "lenet5": (),
    "lenet300_100": (),
    "mlp": (),
    "lenet5_1998": (),
    "lenet5_modern": (),
    "nin_cifar": (),
    "googlenet_2014": ("dataset.img_size=32",),
    "darknet19": ("dataset.img_size=32",),
    "resnet20": (),
    "highway_mnist": (),
    "highway_mnist_fc": ("architecture.kwargs.depth=5",),
    "highway_cifar": ("dataset.img_size=8",),
    "d3net_s": ("dataset.img_size=32",),
    "wrn_16_1": (),
    "densenet_40_12": ("dataset.img_size=8",),
    "condensenet_cifar": (
        "dataset.img_size=8", "architecture.kwargs.depths=[2,1,2]", "architecture.kwargs.growths=[4,8,8]",
    ),
    "condensenet_cifar_182": (
        "dataset.img_size=8", "architecture.kwargs.depths=[1,1,2]", "architecture.kwargs.growths=[4,8,8]",
        "architecture.kwargs.form=grouped",
    ),
    "pyramidnet_110_48": ("dataset.img_size=8",),
    "shufflenet_v1_g3": ("dataset.img_size=32",),
    "pvt_tiny": (
        "dataset.img_size=32", "architecture.kwargs.widths=[8,16,16,32]", "architecture.kwargs.heads=[1,1,2,2]",
        "architecture.kwargs.depths=[1,1,1,1]",
    ),
    "t2t_vit_14": ("architecture.kwargs.width=32", "architecture.kwargs.depth=2", "architecture.kwargs.heads=2"),
    "conformer_tiny": (
        "dataset.img_size=32", "architecture.kwargs.channels=8", "architecture.kwargs.width=32",
        "architecture.kwargs.heads=2", "architecture.kwargs.stages=1",
    ),
    "botnet_s1_50": ("dataset.img_size=32", "architecture.kwargs.width=8", "architecture.kwargs.depths=[1,1,1,1]"),
    "vt_r34": ("architecture.kwargs.width=8", "architecture.kwargs.depths=[1,1,1]"),
    "timm": ("architecture.name=test_efficientnet", "dataset.img_size=32"),
    "torchvision": ("architecture.name=squeezenet1_1", "dataset.img_size=32"),
}  # fmt: skip

for option, overrides in SMALL.items():
    title = "Test" + option.title().replace("_", "")
    globals()[title] = type(title, (ArchitectureSuite,), {"architecture": option, "overrides": overrides})
