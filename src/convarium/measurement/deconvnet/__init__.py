"""DeconvNet: the pixels of an image that activate a feature map of a convolutional network.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1. A way back is
attached to the trained network, which stays as it is: the chain of calls from a layer to the image (`call_path`), each
with its transpose (`transposes`).
"""
