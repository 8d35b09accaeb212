"""The root of the command line: global options, and every failure as one message and one exit code."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click
import structlog

from archiver.cli import exits
from archiver.cli.commands import Commands
from archiver.cli.context import Invocation
from archiver.domain.errors import ArchiverError, ConfigurationError
from archiver.telemetry import configure_logs, redact

log = structlog.get_logger()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config_path", type=click.Path(path_type=Path), metavar="PATH", help="The configuration file.")
@click.option("--log-format", type=click.Choice(["json", "console"]), help="How log lines on stderr look.")
@click.option("-v", "--verbose", count=True, help="More log lines.")
@click.version_option(package_name="recording-archiver", prog_name="archiver")
@click.pass_context
def cli(context: click.Context, config_path: Path | None, log_format: str | None, verbose: int) -> None:
    """Archive call and meeting recordings, and prove that every one is there, unchanged."""
    chosen = log_format or ("console" if sys.stderr.isatty() else "json")
    configure_logs(chosen, verbose=verbose)
    command = context.invoked_subcommand
    if not verbose and (command == "demo" or (sys.stderr.isatty() and command != "run")):
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # a bar or lines tell it
    context.obj = Invocation(config_path=config_path, log_format=chosen, verbose=verbose, environ=os.environ)


def main(words: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code and never lets a traceback out."""
    try:
        code = cli.main(args=words, prog_name="archiver", standalone_mode=False)
        return code if isinstance(code, int) else exits.DONE
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return exits.USAGE
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return exits.USAGE
    except ArchiverError as error:
        click.echo(f"error: {error}", err=True)
        return exits.of_error(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
        return exits.DONE
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        log.exception("unexpected_error")
        text = f"unexpected {type(error).__name__}: {redact(str(error))}"
        click.echo(f"error: {text}; hint: run again with -v and report it", err=True)
        return exits.UNEXPECTED
