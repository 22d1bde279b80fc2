import numpy as np

class Plan:
    def __init__(
        self,
        *,
        isa: str,
        algorithm: str,
        shape: list[int],
        padding: list[int],
        kernel: int,
        stride: int,
        dilation: int,
        activation: str,
        elempack: int,
        storage: str,
        arithmetic: str,
        weights: np.ndarray,
        bias: np.ndarray | None,
        threads: int,
    ) -> None: ...
    def run(self, in_: np.ndarray, out: np.ndarray) -> None: ...
    def time(self, in_: np.ndarray, out: np.ndarray, calls: int) -> float: ...
    @property
    def lanes(self) -> int: ...

def isas() -> list[str]: ...
def kernels(isa: str) -> list[tuple[str, int, int, int, str]]: ...
def peak_multiply_adds(isa: str, seconds: float) -> float: ...
def bandwidth(isa: str, bytes_: int, seconds: float) -> float: ...
