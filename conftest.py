"""nbval's hook; it is found only in the root of the project."""


def pytest_collectstart(collector):
    """Leave stderr and HTML out of nbval's comparison: both depend on the machine and on the libraries' versions."""
    if collector.__class__.__name__ == "IPyNbFile":
        collector.skip_compare += ("stderr", "text/html")
