#!/usr/bin/env python3
"""What transformers makes of chat templates.

    cd models/tests/chat
    pip install -r ../requirements.txt
    python3 templates.py --constructs  # those made up here, into constructs.json
    python3 templates.py FOLDER        # those of real models, into FOLDER/templates.json; also checks
                                       # that constructs.json is as it would be written

The templates of real models are those of TRL and of llama.cpp, from the packages in sources.txt,
which pip downloads into FOLDER unless they are there; with --models MODELS, also those of the GGUF
files and tokenizer configurations that scripts/fetch-models.sh has fetched into MODELS. The date is
always 26 July 2024.
"""

import argparse
import ast
import datetime
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from gguf import GGUFReader
from transformers.utils import chat_template_utils

HERE = Path(__file__).parent
CONSTRUCTS_FILE = HERE / "constructs.json"

SHOTS = [
    ("user", "Who wrote Hamlet?"),
    ("assistant", "William Shakespeare"),
    ("user", "What is the capital of France?"),
    ("assistant", "Paris"),
]
CHATS = [
    [("user", "Who built it?")],
    [("system", "Be brief."), ("user", "Who built it?")],
    SHOTS + [("user", "Who built it?")],
    [("system", "Be brief."), *SHOTS, ("user", "Who built it?")],
    [("user", ' Is it “so”, {{ x }} or\n\n{% if y %}"C#" & <b>\'é\'</b> \\n 東京?\n')],
]

# Each is followed by the messages, so that none is dropped.
MESSAGES = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
DATA = (
    "{% set data = {'name': 'f\\n', 'none': none, 'list': [1, 2.5, -0.5, true, [], {}],"
    " 'deep': {'b': 'é\"<&>', 'a': {'z': [[1], []]}}} %}"
)
CONSTRUCTS = {
    "generation": "{% for m in messages %}\n  {% generation %}\n  {{ m.content }}\n  {% endgeneration %}\n{% endfor %}",
    "generation, stripped": "a  {%- generation -%}  b  {%- endgeneration -%}  c",
    "generation, half stripped": "a  {%- generation %}  b\n  {% endgeneration -%}\n  c",
    "generation, kept": "a  {%+ generation +%}\n  b  {%+ endgeneration +%}\n  c",
    "generation is a scope": "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    "generation in texts": "{{ '{% generation %}' }}{# {% generation %} #}{% raw %}{% generation %}{% endraw %}",
    "generation in a loop": "{% for m in messages %}{% generation %}{{ loop.index }}{% if loop.last %}{{ eos_token }}{% endif %}{% endgeneration %}{% endfor %}",
    "blocks are trimmed": "  {% if true %}\n    a\n  {% endif %}\n\tb\n  {{ 'c' }}\n{# d #}\ne\n\n",
    "white-space control": "a \n {%- if true -%} \n b \n {%- endif %} \n{{- 'c' -}}  \n d {#- e -#} f",
    "the last line break": "a\n",
    "nothing is defined": "{{ tools is defined }}{{ tools is none }}{{ documents is none }}{{ nothing is defined }}{{ nothing }}",
    "tools": "{% if not tools is defined %}{% set tools = none %}{% endif %}{% if tools is not none and tools | length > 0 %}x{% endif %}",
    "switches": "{% if enable_thinking is defined and enable_thinking is false %}off{% endif %}{% if not thinking %}off{% endif %}",
    "tojson": DATA + "{{ data | tojson }}",
    "tojson, indented": DATA + "{{ data | tojson(indent=4) }}\n{{ data | tojson(indent=0) }}{{ [] | tojson(indent=2) }}",
    "tojson, options": DATA + "{{ data | tojson(ensure_ascii=true) }}{{ data | tojson(sort_keys=true, separators=(',', ':')) }}",
    "tojson of texts": "{{ 'é 東京 🎉 \\t\\\\ \"quoted\" </script> \\u007f' | tojson }}{{ '🎉é' | tojson(ensure_ascii=True) }}",
    "numbers": "{{ 1 }} {{ 1.0 }} {{ 2.50 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 0.1 + 0.2 }} {{ 1e20 }} {{ 0.00001 }}",
    "values as Python prints them": "{{ true }} {{ none }} {{ [1, 'a', none] }} {{ {'a': true, 'b': \"it's\"} }} {{ 1 == 1.0 }}",
    "to text": "{{ true | string }}{{ [1] | string }}{{ 'a' ~ 1 ~ 'b' }}{{ 'a' + 1 | string }}",
    "strip": "{{ '  a b\\n'.strip() }}|{{ '\\n\\na'.lstrip('\\n') }}|{{ 'a--'.rstrip('-') }}|{{ 'xyaxy'.strip('xy') }}|",
    "split": "{{ 'a</think>b</think>c'.split('</think>')[-1] }}{{ ' a  b '.split() | length }}{{ 'a,b,c'.split(',', 1)[1] }}{{ 'a,b,c'.rsplit(',', 1)[0] }}{{ 'a,b'.split(sep=',', maxsplit=1)[0] }}",
    "parts of texts": "{{ 'a=b=c'.partition('=')[2] }}{{ 'a=b'.partition('=') }}{{ 'a=b=c'.rpartition('=')[0] }}{{ 'prefix'.removeprefix('pre') }}{{ 'a.txt'.removesuffix('.txt') }}",
    "tests of texts": "{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'b' in 'abc' }}{{ 'x' not in 'abc' }}{{ 'a1'.isalnum() }}{{ '12'.isdigit() }}",
    "changes of texts": "{{ 'aXa'.replace('X', '-') }}{{ 'aB'.upper() }}{{ 'aB'.lower() }}{{ 'two words'.title() }}{{ 'two words'.capitalize() }}{{ 'banana'.count('an') }}{{ 'abc'.find('c') }}",
    "filters of texts": "{{ ' a ' | trim }}{{ 'a' | upper }}{{ 'Ab' | lower }}{{ 'two words' | title }}{{ 'abc' | length }}{{ ['a', 'b'] | join(', ') }}{{ 'a\\nb' | indent(2) }}{{ 'aa' | replace('a', 'b') }}",
    "slices": "{{ 'abcdef'[1:3] }}{{ 'abc'[-1] }}{{ 'abc'[::-1] }}{{ [1, 2, 3][1:] }}{{ [1, 2, 3][::-1] }}{{ messages[0]['role'] }}{{ messages[-1].role }}",
    "methods of dictionaries": "{% set d = {'b': 1, 'a': 2} %}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}{{ d.keys() | list }}{{ d.values() | list }}{{ d.get('c', 3) }}{{ d.get('c') }}{{ d | length }}{% for k in d %}{{ k }}{% endfor %}",
    "filters of dictionaries": "{% set d = {'b': 1, 'a': 2} %}{% for k, v in d | dictsort %}{{ k }}{{ v }}{% endfor %}{{ d.items() | list }}{% for k, v in d | items %}{{ k }}{{ v }}{% endfor %}{{ dict(x=1, y=2) }}",
    "lists": "{{ [1, 2] + [3] }}{{ [3, 1, 2] | sort }}{{ [1, 2, 1].count(1) }}{{ ['a', 'b'].index('b') }}{{ 2 in [1, 2] }}{{ [1, 2, 3] | first }}{{ [1, 2, 3] | last }}{{ range(3) | list }}",
    "filters of lists": "{{ messages | map(attribute='role') | list }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | rejectattr('role', 'in', ['system', 'assistant']) | map(attribute='role') | join(',') }}{{ [0, 1, none] | select | list }}{{ [1, 1, 2] | unique | list }}",
    "namespace": "{% set ns = namespace(found=false, n=0) %}{% for m in messages %}{% set ns.found = true %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.found }}{{ ns.n }}",
    "loops": "{% for m in messages %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{% if loop.previtem is defined %}{{ loop.previtem.role }}{% endif %}{% if loop.nextitem is defined %}{{ loop.nextitem.role }}{% endif %}{% else %}none{% endfor %}",
    "loop controls": "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "loops with conditions": "{% for m in messages if m.role == 'user' %}{{ loop.index }}{% endfor %}{% for m in messages[1:] %}{{ m.role }}{% else %}only one{% endfor %}",
    "scopes": "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}{% set y %}a{{ x }}{% endset %}{{ y }}",
    "macros": "{% macro show(a, b='x') %}{{ a }}{{ b }}{% endmacro %}{{ show('1') }}{{ show('1', b='2') }}{% set text = show('3') | trim %}{{ text }}",
    "conditions": "{{ 'a' if messages | length > 1 else 'b' }}{{ (1 if false) }}{{ not true or true and false }}{{ 1 < 2 }}{{ none is none }}{{ messages is iterable and messages is not string }}{{ {} is mapping }}{{ 'a' is sequence }}{{ 'a' is iterable }}{{ none is iterable }}{{ tools is iterable }}{{ none is sequence }}{{ {} is iterable }}{{ {} is sequence }}{{ 1 is sequence }}{{ 1 is number }}{{ true is sameas true }}{{ 'x' is string }}",
    "alternation": "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}x{% endif %}{% endfor %}",
    "defaults": "{{ nothing | default('d') }}{{ '' | default('d', true) }}{{ nothing or 'e' }}{{ messages[0].tool_calls is defined }}{{ messages[0].get('tool_calls') is none }}{{ 'tool_calls' in messages[0] }}",
    "dates": "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%A, %-d %B %y %H:%M:%S %j %p %I %U %w %Z%%') }}|{{ strftime_now('%Y-%m-%d') }}",
    "texts": "{{ 'a\\n\\t\\'\\\"\\\\' }}{{ \"it's\" }}{{ '\\u00e9' }}{{ '{{ not this }}' }}",
    "special tokens": "{{ bos_token }}{{ bos_token + 'a' + eos_token }}",
}


# That of a model which the decoder runs, from its tokenizer_config.json; no package has it.
OLMO_2 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<|system|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'user' %}"
    "{{ '<|user|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'assistant' %}"
    "{% if not loop.last %}{{ '<|assistant|>\n'  + message['content'] + eos_token + '\n' }}"
    "{% else %}{{ '<|assistant|>\n'  + message['content'] + eos_token }}{% endif %}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}"
)


# A case of llama.cpp's own test: its name, and the template in one literal or several.
LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
TEST_CASE = re.compile(
    r'/\* \.name= \*/ "([^"]*)",\s*/\* \.template_str= \*/ (?:U8C\()?((?:\s*' + LITERAL.pattern + ")+)"
)


class Always(datetime.datetime):
    """The date that templates are told."""

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime(2024, 7, 26)


def rendered(name, template, chats):
    def text(chat):
        messages = [{"role": role, "content": content} for role, content in chat]
        try:
            return chat_template_utils.render_jinja_template(
                [messages], chat_template=template, add_generation_prompt=True,
                enable_thinking=False, thinking=False, bos_token="<s>", eos_token="</s>",
            )[0][0]
        except Exception as error:
            return error

    def recorded(chat):
        said = text(chat)
        if isinstance(said, str):
            return {"messages": chat, "text": said}
        return {"messages": chat, "error": f"{type(said).__name__}: {said}"}

    renderings = [recorded(chat) for chat in chats]
    return {"name": name, "template": template, "bos": "<s>", "eos": "</s>", "renderings": renderings}


def collected(folder):
    """Every template of the packages in sources.txt, by its name."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    if not {"trl", "llama_cpp_python"} <= {path.name.split("-")[0] for path in folder.iterdir()}:
        sources = ["--no-binary", "llama-cpp-python", "-r", str(HERE / "sources.txt")]
        subprocess.run(pip + sources, check=True)
    templates = {"OLMo 2": OLMO_2}
    with zipfile.ZipFile(next(folder.glob("trl-*.whl"))) as wheel:
        for name in wheel.namelist():
            if name.endswith(".jinja"):
                templates["trl " + Path(name).stem] = wheel.read(name).decode()
    with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as archive:
        for member in archive:
            read = lambda: archive.extractfile(member).read().decode()
            if "/models/templates/" in member.name and member.name.endswith(".jinja"):
                templates["llama.cpp " + Path(member.name).stem] = read()
            elif member.name.endswith("/tests/test-chat-template.cpp"):
                for name, texts in TEST_CASE.findall(read()):
                    text = "".join(map(ast.literal_eval, LITERAL.findall(texts)))
                    templates["llama.cpp's test " + name] = text
    return templates


def of_models(folder):
    """The templates in the folder that scripts/fetch-models.sh has filled."""
    templates = {}
    for path in folder.glob("*.gguf"):
        field = GGUFReader(path).fields.get("tokenizer.chat_template")
        if field is not None:
            templates[path.name] = field.contents()
    for path in folder.glob("*/tokenizer_config.json"):
        template = json.loads(path.read_text()).get("chat_template")
        if template is not None:
            templates[path.parent.name] = template
    return templates


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--constructs", action="store_true")
    parser.add_argument("--models", type=Path)
    args = parser.parse_args()
    chat_template_utils.datetime = Always
    chats = [CHATS[0], CHATS[3]]
    made_up = [rendered(name, text + MESSAGES, chats) for name, text in CONSTRUCTS.items()]
    made_up = ",\n".join(json.dumps(one, ensure_ascii=False) for one in made_up)
    if args.constructs:
        CONSTRUCTS_FILE.write_text(f"[\n{made_up}\n]\n")
    if args.folder:
        if CONSTRUCTS_FILE.read_text() != f"[\n{made_up}\n]\n":
            sys.exit("constructs.json is not what --constructs writes")
        args.folder.mkdir(parents=True, exist_ok=True)
        templates = collected(args.folder)
        if args.models:
            templates |= of_models(args.models)
        real = [rendered(*template, CHATS) for template in sorted(templates.items())]
        (args.folder / "templates.json").write_text(json.dumps(real))
        print(len(real), "templates")


if __name__ == "__main__":
    main()
