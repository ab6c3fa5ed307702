"""Write docs/options.md and docs/options_zh.md, a page of all options, from the classes of the configuration.

The English sentences are the docstrings of the fields; the Chinese ones are in docs/options_zh.yaml.

Example:
    python docs/make_options.py
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import ByteSize, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from toolkit.config import Config
from toolkit.config.section import Section
from toolkit.tasks import MONITORS

DOCS = Path(__file__).resolve().parent
TOP = "top"
"""Key of the options that are in no section."""
LANGUAGES = ("en", "zh")
PAGES = {"en": DOCS / "options.md", "zh": DOCS / "options_zh.md"}
CHINESE = DOCS / "options_zh.yaml"

WORDS = {
    "title": ("Options", "选项"),
    "links": ("[中文](options_zh.md) · [README](../README.md)", "[English](options.md) · [README](../README_zh.md)"),
    "top": ("Top level", "顶层"),
    "header": ("| option | values | default | what it does |", "| 选项 | 取值 | 默认值 | 作用 |"),
    "required": ("required", "必填"),
    "section": ("[section]", "[小节]"),
    "or": (" or ", " 或 "),
    "comma": (", ", "、"),
    "list": ("list: ", "列表："),
    "lists": ("list of ", "列表，每项为一个"),
    "pair": ("list of {}: ", "{} 个值的列表："),
    "mapping": ("lines of `name: value`; each value: ", "若干行 `名称: 值`，其中值为"),
    "and": (" and ", " 且 "),
    "metric": ("metric", "指标"),
    "short": ("Short form: {} for {}.", "简写：{} 即 {}。"),
    "switch": ("`true` enables it with the defaults.", "`true` 表示启用并使用默认值。"),
    "stop": (" ", ""),
    str: ("text", "文本"),
    Path: ("path", "路径"),
    int: ("integer", "整数"),
    float: ("number", "数值"),
    ByteSize: ("size, for example `20GB`", "大小，例如 `20GB`"),
    Any: ("anything", "任意"),
}
"""Words of the page in English and Chinese."""

INTRO = (
    """Every option of a config with its default. `-o SECTION.OPTION=VALUE` sets one on the command line, and
`--print-config` shows the values that a config resolves to. `null` means that the toolkit decides, or that the option
is off. `[]` in a name stands for each entry of a list. This page is generated from `toolkit/config/` by
`docs/make_options.py`.""",
    """配置中的全部选项及其默认值。命令行中用 `-o SECTION.OPTION=VALUE` 设置单个选项，
`--print-config` 显示一份配置最终的取值。`null` 表示由工具包决定，或不启用。
名称中的 `[]` 表示列表中的每一项。本页由 `docs/make_options.py` 根据 `toolkit/config/` 生成。""",
)


@dataclass(frozen=True)
class Option:
    """One field of a section.

    Attributes:
        key: Dotted key, ``train.lr``; ``[]`` after a key whose value is a list of sections.
        field: Pydantic's description of the field.
    """

    key: str
    field: FieldInfo


@dataclass(frozen=True)
class Part:
    """A section of the configuration.

    Attributes:
        key: Dotted key; ``TOP`` for the configuration itself.
        kind: Its class.
        field: The field that holds it; None for the configuration itself.
        options: Its fields.
    """

    key: str
    kind: type[Section]
    field: FieldInfo | None
    options: tuple[Option, ...]


def annotation_of(field: FieldInfo) -> Any:
    """The annotation of a field with what pydantic has taken out of it."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def sections_in(annotation: Any, suffix: str = "") -> Iterator[tuple[type[Section], str]]:
    """Sections that a value of this type may contain; ``[]`` with those in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, suffix
    for inner in get_args(annotation):
        yield from sections_in(inner, "[]" if get_origin(annotation) is tuple else suffix)


def parts(kind: type[Section] = Config, key: str = "", field: FieldInfo | None = None) -> Iterator[Part]:
    """All sections: the configuration itself, then each section followed by those inside it."""
    options = tuple(Option(f"{key}.{name}".lstrip("."), field) for name, field in kind.model_fields.items())
    yield Part(key or TOP, kind, field, options)
    for option in options:
        for inner, suffix in sections_in(option.field.annotation):
            yield from parts(inner, option.key + suffix, option.field)


class Page:
    """A page in one language.

    Args:
        language: One of ``LANGUAGES``.
        chinese: ``sections`` and ``options``: key -> sentence.
    """

    def __init__(self, language: str, chinese: dict[str, dict[str, str]]) -> None:
        self.index = LANGUAGES.index(language)
        self.chinese = chinese if language == "zh" else None

    def text(self) -> str:
        """The whole page."""
        found = list(parts())
        contents = " · ".join(f"[{self.name(part)}](#{slug(self.name(part))})" for part in found)
        head = [f"# {self.word('title')}", self.word("links"), INTRO[self.index], contents]
        return "\n\n".join([*head, *(block for part in found for block in self.blocks(part))]) + "\n"

    def blocks(self, part: Part) -> Iterator[str]:
        """Heading, introduction and table of a section."""
        yield f"## {self.name(part)}"
        sentences = [self.chinese["sections"][part.key] if self.chinese else plain(part.kind.__doc__)]
        yield self.word("stop").join([*sentences, *self.shortcuts(part)])
        rows = (self.row(option) for option in part.options)
        yield "\n".join([self.word("header"), "|---|---|---|---|", *rows])

    def row(self, option: Option) -> str:
        """An option's row of the table."""
        sentence = self.chinese["options"][option.key] if self.chinese else plain(option.field.description)
        cells = (f"`{option.key}`", self.values(option), self.default(option.field), sentence)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def shortcuts(self, part: Part) -> Iterator[str]:
        """Shorter ways to write a section, in sentences."""
        if part.field is None:
            return
        annotation = annotation_of(part.field)
        name, is_list = part.key.removesuffix("[]").rpartition(".")[2], part.key.endswith("[]")
        for function in (getattr(each, "func", None) for each in metadata_in(annotation)):
            if inspect.isfunction(function) and "key" in (found := inspect.getclosurevars(function).nonlocals):
                value, short = f"{{{found['key']}: VALUE}}", "VALUE"
                value, short = (f"[{value}]", f"[{short}]") if is_list else (value, short)
                yield self.word("short").format(f"`{name}: {short}`", f"`{name}: {value}`")
        if can_be_switched_on(annotation):
            yield self.word("switch")

    def values(self, option: Option) -> str:
        """The values that an option accepts, in words."""
        return self.type_in_words(annotation_of(option.field), option.key)

    def type_in_words(self, annotation: Any, key: str, bounds: str = "") -> str:
        """A type in words, with links to sections."""
        origin, inner = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            metadata = [
                each for found in inner[1:] for each in (found.metadata if isinstance(found, FieldInfo) else [found])
            ]
            return self.type_in_words(inner[0], key, self.bounds(metadata) or bounds)
        if origin in (Union, types.UnionType):
            kinds = [kind for kind in inner if kind is not type(None)]
            return self.one_of([self.type_in_words(kind, key, bounds) for kind in kinds])
        if origin is Literal:
            return (
                self.word("metric") if inner == MONITORS else self.word("comma").join(f"`{value}`" for value in inner)
            )
        if origin is tuple and inner[-1] is not Ellipsis:
            return self.word("pair").format(len(inner)) + self.type_in_words(inner[0], key)
        if origin is tuple:
            word = "lists" if list(sections_in(annotation)) else "list"
            return self.word(word) + self.type_in_words(inner[0], key + "[]")
        if origin is dict:
            return self.word("mapping") + self.type_in_words(inner[1], key)
        if annotation is bool:
            return self.word("comma").join(("`true`", "`false`"))
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return f"{self.word('section')}(#{slug(key)})"
        return self.word(annotation) + (f" {bounds}" if bounds and annotation in (int, float) else "")

    def one_of(self, kinds: list[str]) -> str:
        """Alternatives, in words: lists of values become one list."""
        values = [kind for kind in kinds if kind.startswith("`") and kind.endswith("`")]
        others = [kind for kind in kinds if kind not in values]
        *first, last = [self.word("comma").join(values)] * bool(values) + list(dict.fromkeys(others))
        words = self.word("or").join([self.word("comma").join(first), last]) if first else last
        return re.sub("(?<=或) (?=[^`[])", "", words)

    def bounds(self, metadata: list[Any]) -> str:
        """Limits of numbers: ``>= 0 and < 1``."""
        signs = {Gt: ("> {}", "gt"), Ge: ("≥ {}", "ge"), Lt: ("< {}", "lt"), Le: ("≤ {}", "le")}
        found = [
            sign.format(getattr(each, name))
            for each in metadata
            for kind, (sign, name) in signs.items()
            if isinstance(each, kind)
        ]
        return self.word("and").join(found)

    def default(self, field: FieldInfo) -> str:
        """A default as it is written in YAML."""
        if field.is_required():
            return self.word("required")
        value = field.get_default(call_default_factory=True)
        if isinstance(value, Section):
            return "–"
        if isinstance(value, ByteSize):
            return f"`{value / 10**9:g}GB`"
        if isinstance(value, float):
            return f"`{value:.10g}`"
        if isinstance(value, (str, Path)):
            return f"`{value if isinstance(value, str) else value.as_posix()}`"
        return f"`{json.dumps(value)}`"

    def name(self, part: Part) -> str:
        """Heading of a section."""
        return self.word("top") if part.key == TOP else part.key

    def word(self, key: Any) -> str:
        """A word in the page's language."""
        return WORDS[key][self.index]


def can_be_switched_on(annotation: Any) -> bool:
    """Whether ``true`` is short for a section with its defaults; a value that is a bool anyhow does not count."""
    try:
        return TypeAdapter(annotation).validate_python(True) is not True
    except ValidationError:
        return False


def metadata_in(annotation: Any) -> Iterator[Any]:
    """What stands beside the types in ``Annotated``, at any depth."""
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
        annotation = get_args(annotation)[0]
    for inner in get_args(annotation):
        yield from metadata_in(inner)


def plain(text: str | None) -> str:
    """A docstring in one line."""
    return " ".join((text or "").split())


def slug(heading: str) -> str:
    """The anchor of a heading that is a dotted key or a few words."""
    return heading.lower().replace(".", "").replace("[]", "").replace(" ", "-")


def read_chinese() -> dict[str, dict[str, str]]:
    """The Chinese sentences: ``sections`` and ``options``, key -> sentence."""
    found: dict[str, dict[str, str]] = yaml.safe_load(CHINESE.read_text(encoding="utf-8"))
    return found


def page(language: str) -> str:
    """The text of a page."""
    return Page(language, read_chinese()).text()


if __name__ == "__main__":
    for language, path in PAGES.items():
        path.write_text(page(language), encoding="utf-8")
