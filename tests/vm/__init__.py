"""The appliance in virtual machines. What the lab asserts for its tests is explained like their own asserts."""

import pytest

pytest.register_assert_rewrite("tests.vm.lab.traffic")
