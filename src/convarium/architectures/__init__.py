"""Networks: ours, a file a family, and those of torchvision and timm through `factory.build_architecture`."""
