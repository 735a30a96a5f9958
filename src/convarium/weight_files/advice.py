"""What to save in place of a file that holds no state dict."""

SAVE_ADVICE = "save the tensors alone: torch.save(model.state_dict(), 'weights.pth'), and adopt that file"
