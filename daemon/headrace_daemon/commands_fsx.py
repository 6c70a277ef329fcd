"""`headraced fsx …`: plan, make, link and use FSx for Lustre file systems."""

import typer

from headrace_daemon import commands_fsx_dra, commands_fsx_lustre, commands_fsx_make, commands_fsx_plan

app = typer.Typer(
    help="FSx for Lustre: plan file systems, link them to buckets, look at them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for _module in (commands_fsx_plan, commands_fsx_make, commands_fsx_dra, commands_fsx_lustre):
    _module.add_to(app)
