"""Helpers of the course, one module an idea, imported by its own name.

A module imports only from its own floor or from floors above it in this list:

    ground    boxes anchors files images annotations smear archive download photographs progress installation notebook
    data      targets augment dataset
    network   model darknet_cfg darknet loss training_model device memory
    use       detection evaluation plots graph look run_folder checkpoint training start plan export hand_on diagnosis
    roof      six_ways checks commands standalone

The ground needs NumPy, Pillow, PyYAML and packaging only. The network needs keras and keras.ops only, so TensorFlow,
JAX and PyTorch run it. The data go one way: photographs and boxes by `annotations`, batches by `dataset` with
`targets`, `model` and `loss` in one graph by `training_model`, the optimiser by `training`; and out: `detection`, then
`plots` or `evaluation`.
"""
