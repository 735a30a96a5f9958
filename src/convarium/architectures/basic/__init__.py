"""Networks of section 3.1: multilayer perceptrons and the first deep convolutional networks."""
