"""DeconvNet: what in an image makes a map of a convolutional network strong, shown as pixels.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1. A way back is
attached to the trained network, which stays as it is: the chain of calls from a layer to the image (`chain`), each with
its transpose (`transposes`).
"""
