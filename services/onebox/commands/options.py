"""The options that several commands share, each with the same name and the same words."""

from pathlib import Path
from typing import Annotated

import typer

from onebox.output import Format
from sagakit.core.facts import Phase
from sagakit.core.messages import Mode

OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How to print the answer; everything but table is for machines.")
]
SagaId = Annotated[str, typer.Argument(metavar="ID", help="The saga, by its id (the order id) or correlation id.")]
OrderId = Annotated[str, typer.Argument(metavar="ID", help="The order, by its id.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it goes into the saga's history.")]
StepOption = Annotated[
    str | None, typer.Option("--step", help="The step concerned; by default every step that is stuck.")
]
PhaseOption = Annotated[Phase | None, typer.Option("--phase", case_sensitive=False, help="Only sagas in this phase.")]
WhyOption = Annotated[str | None, typer.Option("--reason", help="Only sagas with this reason, such as OUT_OF_STOCK.")]
ModeOption = Annotated[Mode, typer.Option("--mode", "-m", case_sensitive=False, help="Who coordinates the saga.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="A box's files; by default what the environment names, or those in your data home."
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, help="How many at most; 0 for all.")]
