"""How a stage is laid out on a machine, and which batches and contexts fit that"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Ranks and micro-batches; no mathematics: what a step computes does not depend on them.

    `accumulation` is None where it is not said, or varies with the batch.
    """

    dp: int
    micro: int
    accumulation: int | None = None
    tp: int = 1
    pp: int = 1
    cp: int = 1

    @property
    def ranks(self) -> int:
        """Ranks in all.

        >>> Layout(dp=192, micro=3, tp=2).ranks
        384
        """
        return self.dp * self.tp * self.pp * self.cp

    @property
    def unit_seqs(self) -> int:
        """Sequences of which every batch is a multiple: one micro-batch of every rank."""
        return self.dp * self.micro

    def fits(self, batch_seqs: int) -> bool:
        """Say whether the ranks can share a batch in whole micro-batches.

        >>> Layout(dp=192, micro=3).fits(1152), Layout(dp=192, micro=3).fits(1024)
        (True, False)
        >>> Layout(dp=192, micro=3, accumulation=1).fits(1152)
        False
        """
        if self.accumulation is not None:
            return batch_seqs == self.unit_seqs * self.accumulation
        return batch_seqs % self.unit_seqs == 0

    def nearest(self, batch_seqs: int) -> tuple[int, ...]:
        """Return the batches that fit on both sides of one that does not.

        >>> Layout(dp=192, micro=3).nearest(1024)
        (576, 1152)
        """
        if self.accumulation is not None:
            return (self.unit_seqs * self.accumulation,)
        below = batch_seqs // self.unit_seqs * self.unit_seqs
        return tuple(n for n in (below, below + self.unit_seqs) if n > 0)

    def fits_context(self, seq_len: int) -> bool:
        """Say whether context-parallel ranks can share a sequence: each takes two equal parts.

        Source: Megatron-LM, context parallelism: 2 cp parts, one early and one late per rank.

        >>> Layout(dp=1, micro=1, cp=3).fits_context(8192), Layout(dp=1, micro=1).fits_context(3)
        (False, True)
        """
        return self.cp == 1 or seq_len % (2 * self.cp) == 0
