"""Flags: tables of them, the words of a command line, and the name that they give to a run.

    flags = parse(__doc__, FLAGS, words)      argparse.Namespace, or one line on stderr and exit code 2
    name(flags, FLAGS)                        model_conv_num_balls_1_beta_0.5_seed_1

A table has a row a flag; nothing here knows of a single one but --model and --data_set, on which others depend.
"""
import argparse
import dataclasses
import difflib
import hashlib
import os
import re
from collections.abc import Callable, Container

from training.data_sets import DATA_SETS, flags_of
from training.process import ROOT, refuse

TRAIN_DIR = os.path.join(ROOT, "checkpoints", "train_store")
LARGEST = 3e38  # in float32
LONGEST = 160   # bytes of a run's name: file systems take 255 for a folder's or a figure's, with what stands around it


@dataclasses.dataclass(frozen=True)
class Flag:
    """A row of a table.

    kind: a function of a word that raises argparse.ArgumentTypeError, or what holds the allowed words.
    default: or, where it depends on the model, a dict from model to default.
    experiment: whether it is part of what is trained; else of how it is run, and may differ when a run is resumed.
    named: whether it is in every run's name, as 2016's; other flags of the experiment are where not at their default.
    many: whether it may be given more than once; then its value is a list.
    """
    name: str
    kind: Callable | Container
    default: object
    help: str
    experiment: bool = True
    named: bool = False
    many: bool = False

    def default_of(self, model):
        return self.default[model] if isinstance(self.default, dict) else self.default

    @property
    def data_sets(self):
        """The data sets that it belongs to; none: it is of all."""
        return [key for key in DATA_SETS if self.name in flags_of(key)]


def integer(low, high=None):
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
    """A flag's kind: a path, made absolute, with ~ for a home folder; a / at its end stays."""
    if not word.strip() or any(letter in "\0\n\r" or "\ud800" <= letter <= "\udfff" for letter in word):
        raise argparse.ArgumentTypeError(f"{word!r} is not a path in UTF-8 on one line")
    if re.match(r"\w+://", word):
        raise argparse.ArgumentTypeError(f"{word!r} is not a path on this machine")
    return os.path.abspath(os.path.expanduser(word)) + "/" * word.endswith("/")


class Parser(argparse.ArgumentParser):
    """One that refuses in a line."""

    def error(self, message):
        refuse(message.replace("argument ", "", 1))


def parser_of(description, table):
    """An argparse parser by a table; a flag that is not given is None."""
    parser = Parser(description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    groups = {True: parser, False: parser}
    if any(not row.experiment for row in table):
        groups = {True: parser.add_argument_group("flags of the experiment (not at its default: in the run's name)"),
                  False: parser.add_argument_group("flags of how it is run")}
    for row in table:
        kinds = {"choices": row.kind} if isinstance(row.kind, Container) else {
            "type": row.kind, "metavar": row.name.upper().split("_")[-1]}
        if row.kind is boolean:
            kinds.update(nargs="?", const=True)
        if row.many:
            kinds.update(action="append")
        text = row.help.replace("%", "%%") + f"; default {in_words(row.default)}"
        groups[row.experiment].add_argument("--" + row.name, help=text, **kinds)
    return parser


def in_words(default):
    """A default in words."""
    if isinstance(default, dict):
        return ", ".join(f"{value} for {model}" for model, value in default.items())
    if isinstance(default, list):
        return ", ".join(map(str, default))
    return "none" if default is None else "off" if default is False else str(default)


def parse(description, table, words=None):
    """The flags of a command line (None: this process's), defaults filled in; one of another data set stays None.
    Unknown, shortened and mistyped flags, and those of another data set, are refused with exit code 2."""
    flags = parse_known(description, table, words)
    for row in table:
        if row.data_sets and getattr(flags, "data_set", row.data_sets[0]) not in row.data_sets:
            if getattr(flags, row.name) is not None:
                refuse(f"--{row.name} belongs to --data_set={' or '.join(row.data_sets)}: {flags.data_set} has no such "
                       "flag")
        elif getattr(flags, row.name) is None:
            setattr(flags, row.name, row.default_of(getattr(flags, "model", None)))
    return flags


def parse_known(description, table, words):
    """The flags of a command line, None for those not given; unknown ones are refused, with a guess where one is
    near."""
    flags, unknown = parser_of(description, table).parse_known_args(words)
    for word in unknown:
        if not word.startswith("-"):
            refuse(f"unknown word {word}: a flag has one value")
        close = difflib.get_close_matches(word.split("=")[0].lstrip("-"), [row.name for row in table], 1, 0.7)
        refuse(f"unknown flag {word}: " + (f"did you mean --{close[0]}?" if close else "--help lists the flags"))
    return flags


def not_default(flags, table):
    """The rows of the flags of the experiment that are not at their defaults."""
    return [row for row in table if row.experiment and getattr(flags, row.name) not in (
        None, row.default_of(flags.model))]


def name(flags, table):
    """A run's name: 2016's flags, and every other flag of the experiment that is not at its default, in the order of
    the table. Of a path, its last part; letters, digits and .+- stay, other characters become _. The middle of a name
    that would be too long for a file is replaced by a number that is its own."""
    others, parts = not_default(flags, table), []
    for row in table:
        value = getattr(flags, row.name)
        if row in others or row.named and value is not None:
            word = re.sub(r"[^\w.+-]", "_", os.path.basename(str(value).rstrip("/")))
            parts.append(row.name if value is True else f"{row.name}_{word}")
    text = "_".join(parts)
    if len(text.encode()) <= LONGEST:
        return text
    return text.encode()[:LONGEST - 9].decode(errors="ignore") + "_" + hashlib.sha256(text.encode()).hexdigest()[:8]


def variant(flags, table):
    """How an experiment differs from one of its model, data set, beta and seed with all else at its default."""
    return {row.name: getattr(flags, row.name) for row in not_default(flags, table)
            if not row.named and not row.data_sets and row.name not in ("data_set", "seed")}


def differences(old, new, table):
    """What a run's flags of the experiment were and are, a phrase for each that differs. old: dict."""
    found = []
    for row in table:
        was, now = old.get(row.name), getattr(new, row.name)
        same = was == now or row.kind is path and was and now and os.path.realpath(was) == os.path.realpath(now)
        if row.experiment and not same:
            found.append(f"--{row.name} was {was}, now {now}")
    return found
