"""Code, JSON, URLs and markup stay byte for byte, alone and within prose; prose is normalised."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.cleaning.cleaner import Cleaner, Role, Step
from lockstep.data.cleaning.code_detection import find_code
from lockstep.data.cleaning.code_lines import may_have_code

STEPS: list[Step] = [
    "encoding", "unicode", "invisible", "html", "width", "punctuation", "boilerplate",
    "personal_data", "space",
]  # fmt: skip
CLEANER = Cleaner(STEPS, [r"^Sent from .*$"])
ROLES = st.sampled_from(["user", "assistant", "text", "reasoning"])

BLOCKS = {
    "fence": "```py\nif x:\n\tgo('１，甲,乙')  # &lt;br&gt; <b>x</b>\u200b \n\n    e\u0301\n```",
    "long fence": "````md\n```\na  b\n```\n````",
    "tildes": "~~~html\n<b>bold</b>  <i>it</i>&reg;\n~~~",
    "indented fence": "1. so:\n   ```sql\n   甲,  乙\n   ```",
    "quoted fence": "> ```\n> a  b,甲\n> ```",
    "sql": "SELECT 城市,数量 FROM 订单 WHERE 城市='北京，上海' AND 数量>3;",
    "sql of lines": "SELECT 城市,\n       数量\nFROM 订单\nWHERE 城市='北京';",
    "sql in small letters": "select 城市,数量 from 订单 where 城市='北京';",
    "insert": "INSERT INTO 订单 (城市,数量) VALUES ('北京',3);",
    "create": "CREATE TABLE 订单 (\n  城市 TEXT,\n  数量 INT\n);",
    "yaml": "城市: 北京\n数量: 3\n列表: [苹果,香蕉]",
    "nested yaml": "services:\n  web:\n    image:  nginx\n    标签:\n      - 甲: 乙\n      - b:  c",
    "csv": "城市,数量\n北京,3",
    "csv of words": "姓名,城市\n张三,北京",
    "quoted csv": '姓名,城市,备注\n张三,北京,"好, 的"\n李四,上海,无',
    "tsv": "城市\t数量\n北京\t3\n上海\t",
    "table": "| a  | b |\n|----|---|\n| 1  | 好,乙 |",
    "tree": "├── src/\n│   ├── main.py   # 入口,主程序\n│   └── util.py\n└── README.md",
    "table of text": "+----+------+\n| a  | 甲,乙 |\n+====+======+\n| 1  | b    |\n+----+------+",
    "python": "def f(x):\n    return {甲:1,乙:2}[x]",
    "python block": "import os\n\nfor x in 列表:\n    f(x,甲)\n\n    if x  == 1:\n        y = '１'",
    "assignment": "total  = a + b\nnames = ['１',  '二,三']",
    "javascript": "const f = (甲,乙) => {\n  return 甲 + 乙;  // 好,的\n};",
    "java": 'public class A {\n    void f() {\n        print("你好,世界");\n    }\n}',
    "c++": "#include <vector>\nstd::vector<int> f(std::map<int,  甲> x) {\n\treturn x;\n}",
    "comment": "// 说明,计算 总和  再输出",
    "statement": "x = a &amp b; if (a<b && c>d) return &reg;",
    "template": "template <typename T> std::vector<a> f(std::map<i, b> x); // if (a<b) and <p>",
    "makefile": "all:\n\tcc  -o a a.c\n\nclean:\n\trm  a",
    "shell": "git clone  https://x.example/a.git && cd  a",
    "pipe": "ls -la  | grep 甲,乙",
    "shell block": 'if [ -f  x ]; then\n  echo "好,的"\nfi',
    "environment": "DB_HOST=甲,乙\nDB_PORT=1",
    "declaration": 'let 名字  = "张三,李四"',
    "script": "#!/bin/bash\necho  '甲,乙'",
    "chinese xml": "<城市>北京,上海</城市>",
    "curl": "curl -X POST  'https://x.example/a?城市=北京,上海'",
    "prompt": ">>> f('甲,乙')\n'甲,乙'",
    "patch": "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-print('甲,乙')\n+print('丙,丁')",
    "section": "[paths]\nkey = 甲,乙\nother=1",
    "dockerfile": "FROM python:3.11\nRUN pip install  x\nCOPY . /app",
    "regular expression": "^[甲-乙]?,(?:是|否)$",
    "json": '{\n  "城市":  "北京,上海&reg;",\n  "b": [1,  2]\n}',
    "xml": '<book><title>Dune,  甲,乙</title><label>S&amp;F</label><a href="x">shop</a></book>',
    "html": "<!DOCTYPE html>\n<html>\n<body>\n<p>Hi  &amp; 你好,bye</p>\n</body>\n</html>",
    "echo": 'echo  "你好,世界"',
    "echo in a list": "1. echo '你好,世界' > a.txt",
    "echo of a variable": "sudo echo $HOME  a.txt",
    "declarations of c": "int a;\nchar  b;\n//说明,这里保存数量\nunsigned long c, *d;",
    "comment of c": "/* 说明,第一行\n第二行,  注意 */\nx++;",
    "comment of python": "x  = 1\n#说明,没有空格",
    "throw": 'throw new Error("你好,世界")',
    "assembler": "_start:\n    mov  eax, ebx    ; 说明,好\n\n    int  0x80",
    "assembler of arm": "ldr   r0, [r1, #4]\nadd   r0,  r0, #1\nbx    lr",
    "assembler of at&t": "main:\n\tpushq   %rbp\n\tmovl    $0, %eax  # 甲,乙\n\tret",
    "data of assembler": "msg  db  '你好,世界', 10\nlen  equ  $ - msg\nmov  eax, len",
    "log": "2024-05-01 12:00:00,123 INFO  [main] a.B - 用户,登录",
    "log in brackets": "[2024-05-01 12:00:00] [error]  请求,失败",
    "log of a service": "May  1 12:00:00 host sshd[123]: 登录,失败  x",
    "log of a web server": '127.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET /?甲,乙"  200',
    "traceback": 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: 参数,错误',
    "document": "\\documentclass{a}\n\\begin{document}\n  文字,  甲\nTwo  words.\n\\end{document}",
    "environment of latex": "\\begin{list}\n  \\item 甲,  乙\n\\begin{a}\\end{a}  y,\n\\end{list}",
    "latex": r"\begin{tabular}{ll} a & b,甲 \\ c  & d &lt e \end{tabular}",
    "css": ".a {\n  color:  red;\n  font: '宋体',serif;\n}",
}
INLINE = {
    "inline code": "`a  b&reg;<br>甲,乙`",
    "inline code with a backtick": "``x`y  １``",
    "url": "https://shop.example/list?lang=fr&region=eu&copy=2&para=7&amp;x=1",
    "chinese url": "https://zh.example.org/wiki/中文",
    "url without scheme": "www.example.org/a?b=1&reg=2",
    "json": '{"a": "甲,乙", "b":  1}',
    "json array": '["好,谢谢", "b  c"]',
    "python literal": "{'城市': '北京,上海'}",
    "escaped tag": "&lt;br&gt;",
    "tag escaped twice": "&amp;lt;br&amp;gt;",
    "escaped attribute": "&lt;a href=&quot;x&quot;&gt;",
    "path": "/home/用户,甲/x.txt",
    "windows path": "C:\\数据,甲\\x.txt",
    "generic type": "Map<String,列表>",
    "c++ vector": "vector<int>",
    "tag": "<br>",
    "sql": "SELECT 城市,数量 FROM 订单;",
    "regular expression": "^[甲-乙]?,(?:是|否)$",
    "formula": r"\(a  ,乙\)",
}


@pytest.mark.parametrize("role", ["user", "assistant"])
@pytest.mark.parametrize("before", ["", "Please look at this:\n\n", "请看：\n"])
@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_stay_alone_and_between_prose(kind: str, before: str, role: Role) -> None:
    text = f"{before}{BLOCKS[kind]}" + "\n\nWhat is it?" * bool(before)
    assert CLEANER.clean(text, role) == (text, set())


@pytest.mark.parametrize("role", ["user", "assistant"])
@pytest.mark.parametrize("frame", ["{}", "Use {} here, please.", "请用{} 好吗？", "请用 {}，谢谢"])
@pytest.mark.parametrize("kind", INLINE)
def test_inline_parts_stay_alone_and_within_prose(kind: str, frame: str, role: Role) -> None:
    text = frame.replace("{}", INLINE[kind])
    assert CLEANER.clean(text, role) == (text, set())


@pytest.mark.parametrize(
    "text",
    [
        "    total = a + b\n    return total\n",
        'def add(a, b):\n    """Sum."""\n',
        "\tx = 1\n\n",
        "```\na\n```  ",
        "~~~\nnever  closed\n\n １",
        "    foo  bar\n    baz  甲,乙",
        "    return x,  甲",
        "Answer: ```python\nx  = 1\n\ny\n```",
    ],
)
def test_text_that_is_code_stays_with_its_indentation_and_line_end(text: str) -> None:
    assert CLEANER.clean(text, "assistant")[0].rstrip(" ") == text.rstrip(" ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("１  a\n\n```\n１  a\n```\n\n１  a", "1 a\n\n```\n１  a\n```\n\n1 a"),
        ("用`１  甲,乙`,１  吧", "用`１  甲,乙`,1 吧"),
        ("See https://a.example/?b=1&copy=2;,  １.", "See https://a.example/?b=1&copy=2;, 1."),
        ("问: 你好,吗\n答: 好,的", "问： 你好，吗\n答： 好，的"),
        ("苹果,香蕉和梨都很好吃\n我喜欢,你呢", "苹果，香蕉和梨都很好吃\n我喜欢，你呢"),
        ("价格=5元,共３件", "价格=5元，共3件"),
        ("The value x = 5 is  the answer", "The value x = 5 is the answer"),
        ("if you want:\n  - １ apple  or", "if you want:\n  - 1 apple or"),
        ("Find the answer to a/b  now", "Find the answer to a/b now"),
        ("Select one  from the list", "Select one from the list"),
        ("Hello, I ask\nThanks, １  bye", "Hello, I ask\nThanks, 1 bye"),
        ("for example:  １ (see  below);", "for example: 1 (see below);"),
        ("- 优点: 便宜,好用\n- 缺点: 慢,贵", "- 优点： 便宜，好用\n- 缺点： 慢，贵"),
        ("5 $ or  more (１)", "5 $ or more (1)"),
        ("make sure to read a/b  now", "make sure to read a/b now"),
        ("echo 命令怎么用,谢谢", "echo 命令怎么用，谢谢"),
        ('find "the word"  in the text', 'find "the word" in the text'),
        ("add salt,  pepper\ntest it, １", "add salt, pepper\ntest it, 1"),
        ("call  me, １\nadd oil, ２", "call me, 1\nadd oil, 2"),
        ("2024-05-01 12:00 我想退款,谢谢", "2024-05-01 12:00 我想退款，谢谢"),
        ("12:00:01 我到了,你呢", "12:00:01 我到了，你呢"),
        ("Error: my order,  １", "Error: my order, 1"),
        ("int  is a type; I use １", "int is a type; I use 1"),
        ("Use \\begin{x}.  １ and", "Use \\begin{x}. 1 and"),
    ],
)
def test_prose_that_resembles_code_is_cleaned(before: str, after: str) -> None:
    assert CLEANER.clean(before)[0] == after


LINES = st.lists(
    st.sampled_from(
        [
            *itertools.chain.from_iterable(block.split("\n") for block in BLOCKS.values()),
            *"\n \t;:,=|+-(<>{}#$",
            "word ",
            "    x",
            "else:",
            "fi",
            "│",
            "ls -l",
            "select a from b",
            "if x;then",
            "x->y;",
            "x <- 1",
        ]
    ),
    max_size=4,
).flatmap(lambda lines: st.sampled_from(["", "\n", "\n\n", " "]).map(lambda gap: gap.join(lines)))


@given(LINES)
def test_the_quick_check_skips_no_code(text: str) -> None:
    assert may_have_code(text) or not find_code(text)


NASTY = st.text("ab１Ａ甲乙,!?;: \t\u3000\u200b\u0301<>&lt;reg\"'/\\=()-", max_size=20)
WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=5).map(" ".join)
CHINESE = st.text("你好请问退款订单谢", min_size=1, max_size=8)
PROSE = WORDS.map(lambda words: f"{words}.") | CHINESE.map(lambda text: f"{text}。")


@st.composite
def draw_fence(draw: st.DrawFn) -> str:
    fence = draw(st.sampled_from("`~")) * draw(st.integers(3, 5))
    indentation = draw(st.sampled_from(["", "  ", "    ", "\t"]))
    lines = draw(st.lists(NASTY, max_size=4))
    info = draw(st.sampled_from(["", "python", "c++ title=a"]))
    return "\n".join([f"{indentation}{fence}{info}", *lines, f"{indentation}{fence}"])


@st.composite
def draw_json(draw: st.DrawFn) -> str:
    scalars = st.none() | st.booleans() | st.integers(-99, 99) | NASTY
    value = draw(
        st.recursive(
            scalars, lambda child: st.lists(child) | st.dictionaries(NASTY, child), max_leaves=6
        ).filter(lambda value: isinstance(value, list | dict))
    )
    return json.dumps(
        value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2]))
    )


@st.composite
def draw_element(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["book", "label", "城市x", "ns:item", "table"]).filter(str.isascii))
    content = draw(NASTY).replace("<", "").replace(">", "")
    return f'<{name} id="{draw(WORDS)}">{content}</{name}>'


@st.composite
def draw_csv(draw: st.DrawFn) -> str:
    cell = st.text("ab12甲乙丙", min_size=1, max_size=5)
    delimiter = draw(st.sampled_from(",;\t"))
    rows = draw(st.lists(st.lists(cell, min_size=3, max_size=3), min_size=2, max_size=4))
    return "\n".join(delimiter.join(row) for row in rows)


@st.composite
def draw_sql(draw: st.DrawFn) -> str:
    name = st.text("ab城市数量", min_size=1, max_size=4)
    columns = ",".join(draw(st.lists(name, min_size=1, max_size=3)))
    value = draw(NASTY).replace("'", "")
    return f"SELECT {columns} FROM {draw(name)} WHERE {draw(name)}='{value}';"  # noqa: S608  # text


@st.composite
def draw_inline(draw: st.DrawFn) -> str:
    ticks = "`" * draw(st.integers(1, 2))
    return f"{ticks}x{draw(NASTY)}y{ticks}"


@st.composite
def draw_url(draw: st.DrawFn) -> str:
    query = draw(st.text("ab12&=%/-_;,.:@", max_size=20))
    return f"https://shop.example/{query}x"


@given(
    st.one_of(draw_fence(), draw_json(), draw_element(), draw_csv(), draw_sql()),
    PROSE,
    PROSE,
    ROLES,
)
def test_any_block_stays_byte_for_byte(part: str, before: str, after: str, role: Role) -> None:
    assert CLEANER.clean(part, role)[0] == part
    text = f"{before}\n\n{part}\n\n{after}"
    assert CLEANER.clean(text, role)[0] == text


@given(st.one_of(draw_inline(), draw_url(), draw_json(), draw_sql()), PROSE, PROSE, ROLES)
def test_any_inline_part_stays_byte_for_byte(
    part: str, before: str, after: str, role: Role
) -> None:
    assert CLEANER.clean(part, role)[0] == part
    text = f"{before} {part} {after}"
    assert CLEANER.clean(text, role)[0] == text


NOISE = st.sampled_from(
    [
        ("１２３", "123"),
        ("Ａb", "Ab"),
        ("wo\u200brd", "word"),
        ("cafe\u0301", "café"),
        ("Tom&nbsp;&amp;&nbsp;Jerry", "Tom & Jerry"),
        ("&quot;so&quot;", '"so"'),
        ("x&#39;s", "x's"),
        ("cafÃ©", "café"),
        ("a@b.example", "[EMAIL]"),
    ]
)
PLAIN = st.text("abcdefgh", min_size=1, max_size=6).map(lambda word: (word, word))
GAPS = st.sampled_from([" ", "  ", "\u00a0", " \t ", "\u3000", "   "])


@given(st.lists(st.tuples(PLAIN | NOISE, GAPS), min_size=1, max_size=8), ROLES)
def test_prose_is_normalised(words: list[tuple[tuple[str, str], str]], role: Role) -> None:
    noisy = "".join(word + gap for (word, _), gap in words)
    assert CLEANER.clean(noisy, role)[0] == " ".join(word for (_, word), _ in words)


@given(st.lists(CHINESE, min_size=2, max_size=5), st.sampled_from(",!?;"), ROLES)
def test_chinese_prose_is_normalised(clauses: list[str], mark: str, role: Role) -> None:
    wide = chr(ord(mark) + 0xFEE0)
    noisy = f"{mark}".join(clauses) + "  "
    assert CLEANER.clean(noisy, role)[0] == wide.join(clauses)
