"""Turns a root file-system tree into a disk, and what surrounds it: manifest, Vagrant box, flashing. It never decides what
is in the tree.

Everything here runs in the forge (`./image/userland --forge run -- python3 -m image.X`) except `image.flash`, which is plain
Python on the owner's machine. No loop devices, no mounts: partitions are written at their offsets into one sparse file.
"""
