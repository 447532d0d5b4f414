"""How the command speaks: one line on standard error for what people should know."""

from __future__ import annotations

import click


def said(text: str) -> None:
    text = " ".join(text.split())
    click.echo(f"fafcas: {text[8:] if text.startswith('fafcas: ') else text}", err=True)
