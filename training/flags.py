"""Flags: tables of them, the words of a command line, and the name that they give to a run.

    flags = parse(__doc__, FLAGS, words)      argparse.Namespace, or one line on stderr and exit code 2
    name(flags, FLAGS)                        model_conv_num_balls_1_beta_0.5_seed_1

A table has a row a flag; nothing here knows of a single one but those that 2016 put into the name.
"""
import argparse
import dataclasses
import difflib
import hashlib
import os
import re
from collections.abc import Callable

from training.process import refuse

NAMED = "model", "num_balls", "beta"  # by 2016, in this order
TRAIN_DIR = "./checkpoints/train_store"
LARGEST = 3e38  # in float32
LONG = 150  # letters of a value that are too many for a run's name


@dataclasses.dataclass(frozen=True)
class Flag:
    """A row of a table.

    kind: a function of a word that raises argparse.ArgumentTypeError, or a tuple of allowed words.
    default: or, where it depends on the model, a dict from model to default.
    experiment: whether it is part of what is trained; else of how it is run, and may differ when a run is resumed.
    """
    name: str
    kind: Callable | tuple
    default: object
    help: str
    experiment: bool = True

    def default_of(self, model):
        return self.default[model] if isinstance(self.default, dict) else self.default


def whole(low, high=None):
    """A flag's kind: a whole number from low on, or from low to high."""
    return _number(int, "a whole number", lambda x: low <= x and (high is None or x <= high),
                   f"from {low} to {high}" if high is not None else f"from {low} on")


def real(allowed, test):
    """A flag's kind: a number that float32 has and that passes the test; allowed says which in words."""
    return _number(float, "a number", lambda x: abs(x) < LARGEST and test(x), allowed)


def _number(kind, kind_name, test, allowed):
    def convert(word):
        try:
            value = kind(word)
        except ValueError:
            value = None
        if value is None or not test(value):
            raise argparse.ArgumentTypeError(f"{word!r} is not {kind_name} {allowed}")
        return value + 0  # and -0.0 is 0.0
    return convert


def boolean(word):
    """A flag's kind: true or false; the flag may also stand alone."""
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")
    return word.lower() == "true"


def path(word):
    """A flag's kind: a path, with ~ for a home folder."""
    if not word.strip() or any(character in "\0\n" or "\ud800" <= character <= "\udfff" for character in word):
        raise argparse.ArgumentTypeError(f"{word!r} is not a path in UTF-8 on one line")
    return os.path.expanduser(word)


class Parser(argparse.ArgumentParser):
    """One that refuses in a line."""

    def error(self, message):
        refuse(message.replace("argument ", "", 1))


def parser_of(description, table, **changes):
    """An argparse parser by a table. changes: what add_argument is told besides, of every flag of the experiment."""
    parser = Parser(description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    groups = {True: parser, False: parser}
    if any(not row.experiment for row in table):
        groups = {True: parser.add_argument_group("flags of the experiment (not at its default: in the run's name)"),
                  False: parser.add_argument_group("flags of how it is run")}
    for row in table:
        kinds = {"choices": row.kind} if isinstance(row.kind, tuple) else {
            "type": row.kind, "metavar": row.name.upper().split("_")[-1]}
        if row.kind is boolean:
            kinds.update(nargs="?", const=True)
        default = None if isinstance(row.default, dict) else row.default
        text = row.help.replace("%", "%%") + "; default " + said(row.default)
        told = {"default": default, "help": text, **kinds, **(changes if row.experiment else {})}
        groups[row.experiment].add_argument("--" + row.name, **told)
    return parser


def said(default):
    """A default in words."""
    if isinstance(default, dict):
        return ", ".join(f"{value} for {model}" for model, value in default.items())
    return "none" if default is None else "off" if default is False else str(default)


def parse(description, table, words=None):
    """The flags of a command line (None: this process's), defaults of the model filled in. Unknown, shortened and
    mistyped flags are refused with exit code 2."""
    flags = parse_known(parser_of(description, table), table, words)
    for row in table:
        if getattr(flags, row.name) is None:
            setattr(flags, row.name, row.default_of(getattr(flags, "model", None)))
    return flags


def parse_known(parser, table, words):
    """A parser's flags; unknown ones are refused, with a guess where one is near."""
    flags, unknown = parser.parse_known_args(words)
    for word in unknown:
        if not word.startswith("-"):
            refuse(f"unknown word {word}: a flag has one value")
        close = difflib.get_close_matches(word.split("=")[0].lstrip("-"), [row.name for row in table], 1, 0.7)
        refuse(f"unknown flag {word}: " + (f"did you mean --{close[0]}?" if close else "--help lists the flags"))
    return flags


def stem(flags):
    """What a run's name begins with: 2016's name."""
    return "_".join(f"{flag}_{getattr(flags, flag)}" for flag in NAMED)


def name(flags, table):
    """A run's name: 2016's, with a suffix for every flag of the experiment that is not at its default, in the order of
    the table. Of a path, its last part; letters, digits and .+- stay, other characters become _."""
    parts = [stem(flags)]
    for row in table:
        value = getattr(flags, row.name)
        if row.experiment and row.name not in NAMED and value != row.default_of(flags.model):
            word = re.sub(r"[^\w.+-]", "_", os.path.basename(str(value).rstrip("/")))
            if len(word) > LONG:  # as of a run that started from a run that started from another
                word = f"{word[:60]}_{hashlib.sha256(word.encode()).hexdigest()[:8]}"
            parts.append(row.name if value is True else f"{row.name}_{word}")
    return "_".join(parts)


def differences(old, new, table):
    """What a run's flags of the experiment were and are, a phrase for each that differs. old: dict, in which a flag
    that came later counts as at its default."""
    found = []
    for row in table:
        was, now = old.get(row.name, row.default_of(new.model)), getattr(new, row.name)
        same = was == now or row.kind is path and was and now and os.path.abspath(was) == os.path.abspath(now)
        if row.experiment and not same:
            found.append(f"--{row.name} was {was}, now {now}")
    return found
