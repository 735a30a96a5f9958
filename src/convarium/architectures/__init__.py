"""Networks: ours, a file a family, and those of torchvision and timm through `library.build_architecture`."""
