import pytest
import torch

from lsdc.errors import SettingsError
from lsdc.training.device import pick_device


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["auto", "auto:0", "auto:3", "cpu"])
def test_without_a_gpu_the_device_is_the_cpu(name: str) -> None:
    assert pick_device(name) == torch.device("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")
def test_gpu_number_is_taken_modulo_the_number_of_gpus() -> None:
    gpus = torch.cuda.device_count()
    for number in (gpus, gpus - 1, 0):
        assert pick_device(f"auto:{number}") == torch.device("cuda", number % gpus)
        assert torch.cuda.current_device() == number % gpus
    assert pick_device("auto") == pick_device("cuda:0") == torch.device("cuda", 0)


@pytest.mark.parametrize("name", ["cuda:7", "auto:x", "tpu"])
def test_unknown_device_is_refused(name: str) -> None:
    if torch.cuda.is_available() or name != "auto:x":
        with pytest.raises(SettingsError, match=f"device: '{name}' cannot be used here"):
            pick_device(name)
