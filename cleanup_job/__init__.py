"""ClearML Cleanup.

The job uses two parts of the clearml package: its session and its reader of clearml.conf. The package's own `__init__.py`
imports all that a training script may want, with numpy, pillow and psutil: a longer start, and 90 MB in the image, for nothing.
So that file is run when something in it is first asked for, such as `clearml.Task`; parts are imported as usual.
"""

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any


def _run_clearml_init_on_demand() -> None:
    """Put the clearml package where imports find it, so that importing a part of it does not run its `__init__.py`."""
    spec = None if "clearml" in sys.modules else find_spec("clearml")
    if spec is None or spec.loader is None:
        return
    package, loader = module_from_spec(spec), spec.loader

    def attribute(name: str) -> Any:
        """Python calls this for a name that the package does not have yet."""
        del vars(package)["__getattr__"]
        loader.exec_module(package)
        return getattr(package, name)

    vars(package)["__getattr__"] = attribute
    sys.modules["clearml"] = package


_run_clearml_init_on_demand()
