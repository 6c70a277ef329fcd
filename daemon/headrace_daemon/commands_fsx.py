"""`headraced fsx …`: plan, make, link and use FSx for Lustre file systems."""

import typer

from headrace_daemon import commands_fsx_dra, commands_fsx_lustre, commands_fsx_make, commands_fsx_plan
from headrace_queue.complaints import USAGE_EXIT

app = typer.Typer(
    help="FSx for Lustre: plan file systems, link them to buckets, look at them.",
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,  # the whole command has its own
    pretty_exceptions_enable=False,
)


@app.callback()
def _before(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE_EXIT)


for _module in (commands_fsx_plan, commands_fsx_make, commands_fsx_dra, commands_fsx_lustre):
    _module.add_to(app)
