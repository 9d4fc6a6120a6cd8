#!/usr/bin/env python3
"""Holds the tree to its style where a program can: which room may include which, where an operating system or a third
party's header may be named, sizes, banned calls, and the look of a file. Run by ctest and by `./dev lint`; prints one line a
finding, `file:line: rule: what`. With --self-test it shows each rule a bad example, and fails if one is not found."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A room includes what stands below it. "rp" is the public headers; a room that sees only them proves that they suffice.
ROOMS = {
    "include/rp": {"rp"},
    "base": {"base", "rp"},
    "reactor": {"reactor", "base", "rp"},
    "pty": {"pty", "reactor", "base", "rp"},
    "core": {"core", "pty", "reactor", "base", "rp"},
    "guard": {"guard", "base", "rp"},
    "cli": {"cli", "rp"},
    "bench": {"bench", "rp"},
    "examples": {"examples", "rp"},
    "tests": {"tests", "core", "pty", "reactor", "base", "rp"},
}
LIBRARY_ROOMS = ("base", "reactor", "pty", "core")

# A backend is known by what reactor/backend.h says of it, and by nothing else.
PRIVATE_FOLDERS = ("reactor/uring", "reactor/epoll", "reactor/kqueue", "reactor/iocp")

# Where a header of somebody else's may be included: folders (ending in "/") and files.
FOREIGN_HEADERS = {
    "liburing.h": ("reactor/uring/",),
    "linux/io_uring.h": ("reactor/uring/", "base/os_linux.c", "tests/"),
    "sys/epoll.h": ("reactor/epoll/", "base/os_linux.c", "tests/", "bench/", "examples/"),
    "sys/event.h": ("reactor/kqueue/", "base/os_bsd.c", "tests/support/kqueue_shim/"),
    "pcre2.h": ("core/regex_pcre2.c", "tests/core/test_differential.c", "tests/fuzz/fuzz_expect.c"),
    "windows.h": (),  # files named for Windows only
    "sqlite3.h": ("core/track_store_sqlite.c", "tests/core/test_track.c", "tests/stress/test_track_locked.c"),
    "vterm.h": ("pty/screen_vterm.c",),
    "criterion/": ("tests/support/check.h",),
    "uv.h": ("bench/",),
    "glib.h": ("bench/",),
}
PUBLIC_SYSTEM_HEADERS = {"errno.h", "stdbool.h", "stddef.h", "stdint.h"}

FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100
PARAMETERS_MAX = 5
LONG_FUNCTIONS = {}  # "file:function": why; only for a flat switch or a table
WIDE_FUNCTIONS = {  # beside the public functions, whose parameters are the contract's
    "tests/reactor/system_windows.c:associate_packet": "a system call's fake",
    "base/raw_linux.h:rpi_raw": "a system call has six arguments",
    "base/os_bsd.c:os_kevent": "the same",
    "base/os_linux.c:os_io_uring_enter": "the same",
    "tests/support/kqueue_shim/shim.h:rpi_kqueue_shim_kevent": "the same",
    "tests/support/kqueue_shim/shim_linux.c:rpi_kqueue_shim_kevent": "the same",
    "tests/support/arena_tsan_linux.c:mmap64": "the C library's own call",
}

SYSTEM_SUFFIX = re.compile(r"_(linux|bsd|macos|freebsd|windows|posix)\.[ch]$")
SYSTEM_MACRO = re.compile(
    r"\b(__linux__|__linux|_WIN32|_WIN64|__APPLE__|__FreeBSD__|__NetBSD__|__OpenBSD__|__unix__)\b")
BANNED_CALL = re.compile(
    r"(?<![\w.>])(strcpy|stpcpy|strcat|sprintf|vsprintf|strtok|system|alloca|atoi|atol|signal|gets)\s*\(")
LEFT_OPEN = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
BARE_TIME = re.compile(
    r"\b(?:u?int(?:\d+_t)?|unsigned|long|size_t|double|float)\s+\*?"
    r"(\w*(?:timeout|delay|interval|duration|deadline|elapsed|period|grace))\s*[,;)=]")
BARE_TIME_FILES = {"tests/support/runner.h"}  # `timeout` is Criterion's word, and in seconds
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

C_FILE = re.compile(r"\.[ch]$")
TEXT_FILE = re.compile(r"\.(c|h|py|sh|cmake|in|txt|md|json|[1-9])$|(^|/)(dev|run|LICENSE|\.[\w-]+)$")
HASH_COMMENT_FILE = re.compile(r"\.(py|sh|cmake)$|CMakeLists\.txt$|(^|/)(dev|run|\.clang-\w+)$")


def blanked(text, keep_strings=False):
    """The text with comments (and strings) turned to blanks, so that what is found in it is code, at its own place."""

    def blank(match):
        token = match.group(0)
        if keep_strings and token[0] in "\"'":
            return token
        return re.sub(r"[^\n]", " ", token)

    return TOKEN.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def room_of(path):
    return next((room for room in ROOMS if path.startswith(room + "/")), None)


def check_text(path, text):
    """What holds for every file of text."""
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "ending", "no newline at the end"
    markdown = path.endswith(".md")
    for number, line in enumerate(text.split("\n"), 1):
        if line.endswith("\r"):
            yield number, "ending", "a carriage return"
        elif line != line.rstrip() and not markdown:
            yield number, "white-space", "blanks at the end of the line"
        if LEFT_OPEN.search(line):
            yield number, "left-open", "something is left for later: do it, or file it"
    if HASH_COMMENT_FILE.search(path):
        body = re.sub(r"\A#![^\n]*\n", "", text)
        if not re.match(r'#|"""', body):
            yield 1, "opening", "the file does not open with a comment that says what it is"


def check_look(path, text, code):
    if not re.match(r"/\*|//", text):
        yield 1, "opening", "the file does not open with a comment that says what it is"
    lines = text.split("\n")
    if len(lines) - 1 > FILE_LINES_MAX:
        yield len(lines), "file-size", f"{len(lines) - 1} lines, more than {FILE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield number, "line-length", f"{len(line)} columns, more than {LINE_COLUMNS_MAX}"
        if "\t" in line:
            yield number, "white-space", "a tab"
    for match in re.finditer(r"^[ \t]*#[ \t]*if[ \t]+0\b", code, re.MULTILINE):
        yield line_of(code, match.start()), "dead-code", "#if 0"


def parameters(signature):
    """The name of a function and how many parameters it has; commas of parameters that are functions do not count."""
    match = re.search(r"\b(\w+)\s*\(", signature)
    if not match:
        return "?", 0
    depth, count = 0, 1
    for character in signature[match.end():]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        count += character == "," and depth == 0
        if depth < 0:
            break
    return match.group(1), count


def check_functions(path, code, public):
    """Functions begin with a brace in the first column (the formatter sees to it) and end with one."""
    lines = code.split("\n")
    opened = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            opened = number
            while opened > 1 and lines[opened - 2].strip() and not re.search(r"[;}]\s*$|^#", lines[opened - 2]):
                opened -= 1
            name, count = parameters(" ".join(lines[opened - 1:number - 1]))
            allowed = name in public or f"{path}:{name}" in WIDE_FUNCTIONS or name[0].isupper()
            if count > PARAMETERS_MAX and not allowed:
                yield opened, "parameters", f"{name} has {count} parameters, more than {PARAMETERS_MAX}"
        elif line.startswith("}") and opened is not None:
            size = number - opened + 1
            if size > FUNCTION_LINES_MAX and f"{path}:{name}" not in LONG_FUNCTIONS:
                yield opened, "function-size", f"{name} has {size} lines, more than {FUNCTION_LINES_MAX}"
            opened = None


def check_words(path, code):
    for match in BANNED_CALL.finditer(code):
        yield line_of(code, match.start()), "banned-call", match.group(1)
    for match in BARE_TIME.finditer(code) if path not in BARE_TIME_FILES else ():
        yield line_of(code, match.start(1)), "bare-time", f"{match.group(1)} names no unit (_ns, _ms)"
    if path != "base/os.h" and not SYSTEM_SUFFIX.search(path):
        for match in SYSTEM_MACRO.finditer(code):
            yield line_of(code, match.start()), "system-macro", f"{match.group(1)}: belongs into base/os.h or a file named for its system"


def check_own_include(path, name, files):
    room = room_of(path)
    if "include/" + name in files:
        target, own = "include/" + name, "rp"
    elif name in files:
        target, own = name, (room_of(name) or "").split("/")[-1]
    else:
        return f'"{name}" is not a path from the root'
    private = next((folder for folder in PRIVATE_FOLDERS if target.startswith(folder + "/")), None)
    if private and not path.startswith((private + "/", "tests/")):
        return f'"{name}": only {private} knows it'
    if room and own not in ROOMS[room]:
        return f'"{name}": {room} may include {", ".join(sorted(ROOMS[room]))}'
    return None


def check_foreign_include(path, name):
    if path.startswith("include/rp/") and name not in PUBLIC_SYSTEM_HEADERS:
        return f"<{name}>: a public header includes {', '.join(sorted(PUBLIC_SYSTEM_HEADERS))} only"
    for header, places in FOREIGN_HEADERS.items():
        if name == header or (header.endswith("/") and name.startswith(header)):
            if header == "windows.h" and path.endswith(("_windows.c", "_windows.h")):
                return None
            if not any(path == place or (place.endswith("/") and path.startswith(place)) for place in places):
                return f"<{name}>: belongs into {', '.join(places) or 'files named for Windows'}"
    return None


def check_includes(path, text, files):
    code = blanked(text, keep_strings=True)
    for match in INCLUDE.finditer(code):
        own, foreign = match.groups()
        problem = check_own_include(path, own, files) if own else check_foreign_include(path, foreign)
        if problem:
            yield line_of(code, match.start()), "include", problem


def is_listed(name, text):
    """Whether a CMake list names a source file; a ${variable} in a name stands for any word of the list."""
    words = set(re.findall(r"[\w-]+", text))
    for token in re.findall(r"[\w./${}-]+\.c\b", text):
        pattern = re.sub(r"\\\$\\\{\w+\\\}", r"([\\w-]+)", re.escape(token.rsplit("/", 1)[-1]))
        match = re.fullmatch(pattern, name)
        if match and all(word in words for word in match.groups()):
            return True
    return False


def check_listed(path, files):
    """A source that no list names is not built, and nobody notices."""
    name = path.rsplit("/", 1)[-1]
    folder = path.rsplit("/", 1)[0]
    while folder:
        lists = [f for f in files if re.fullmatch(re.escape(folder) + r"/(CMakeLists\.txt|\w+\.cmake)", f)]
        if any(is_listed(name, files[f]) for f in lists):
            return
        folder = folder.rsplit("/", 1)[0] if "/" in folder else ""
    yield 1, "not-built", "named in no CMakeLists.txt above it"


def check_tree(files):
    """All findings in a tree, given as path -> text."""
    public = set(files.get("tests/symbols.txt", "").split("\n"))
    for path in sorted(files):
        text = files[path]
        findings = list(check_text(path, text))
        if C_FILE.search(path):
            code = blanked(text)
            findings += check_look(path, text, code)
            findings += check_functions(path, code, public)
            findings += check_words(path, code)
            findings += check_includes(path, text, files)
            if path.endswith(".c") and room_of(path):
                findings += check_listed(path, files)
        for line, rule, what in findings:
            yield path, line, rule, what


def tree_files():
    """What git knows or would add; in an unpacked archive, all but hidden and built."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, inside in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in ("build", ".git", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, name), ROOT) for name in inside]
    paths = [name for name in names if TEXT_FILE.search(name) and (ROOT / name).is_file()]
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in paths}


GOOD = """/* A file as it should be: it says what it is. */
#include "base/list.h"

#include <string.h>

/* strcpy( and __linux__ in a comment, "system(" in a string: neither is code. */
int rpi_good(uint64_t timeout_ns, const char **ret_text)
{
    *ret_text = "system(1) __linux__";
    return snprintf_like(timeout_ns) + rpi_os.signal(1);
}

int rp_public(int a, int b, int (*c)(int, int), int d, int e, int f)
{
    return a;
}
"""


def self_test():
    """Each rule against an example that breaks it and nothing else; then one that breaks none."""
    header = "/* What it is. */\n"
    body = "".join(f"    x({i});\n" for i in range(FUNCTION_LINES_MAX))
    bad = [
        ("include", "base/bad.c", header + '#include "core/good.h"\n'),
        ("include", "base/bad.c", header + '#include "good.h"\n'),
        ("include", "core/bad.c", header + '#include "reactor/epoll/good.h"\n'),
        ("include", "cli/bad.c", header + '#include "base/list.h"\n'),
        ("include", "bench/bad.c", header + '#include "core/good.h"\n'),
        ("include", "core/bad.c", header + "#include <liburing.h>\n"),
        ("include", "core/bad.c", header + "#include <criterion/criterion.h>\n"),
        ("include", "reactor/bad.c", header + "#include <sys/epoll.h>\n"),
        ("include", "core/bad.c", header + "#include <windows.h>\n"),
        ("include", "include/rp/bad.h", header + "#include <sys/types.h>\n"),
        ("file-size", "core/bad.c", header + "int x;\n" * FILE_LINES_MAX),
        ("function-size", "core/bad.c", header + "int f(int a,\n      int b)\n{\n" + body + "}\n"),
        ("parameters", "core/bad.c", header + "int f(int a, int (*b)(int, int), int c, int d,\n      int e, int f)\n{\n}\n"),
        ("system-macro", "core/bad.c", header + "#ifdef __linux__\n#endif\n"),
        ("banned-call", "core/bad.c", header + "int a = atoi(b);\n"),
        ("banned-call", "tests/bad.c", header + "void f(void)\n{\n    signal(2, f);\n}\n"),
        ("bare-time", "core/bad.c", header + "int f(uint64_t quiet_timeout);\n"),
        ("left-open", "core/bad.c", header + "/* " + "TO" + "DO: later */\n"),
        ("left-open", "docs/bad.md", "FIX" + "ME\n"),
        ("opening", "core/bad.c", "int x;\n"),
        ("opening", "tests/bad.sh", "#!/bin/sh\nset -e\n"),
        ("line-length", "core/bad.c", header + "int x; // " + "x" * LINE_COLUMNS_MAX + "\n"),
        ("white-space", "core/bad.c", header + "int x; \n"),
        ("white-space", "core/bad.c", header + "\tint x;\n"),
        ("ending", "core/bad.c", header + "int x;"),
        ("ending", "core/bad.c", header + "int x;\r\n"),
        ("dead-code", "core/bad.c", header + "#if 0\n#endif\n"),
        ("not-built", "core/forgotten.c", header),
    ]
    tree = {"base/list.h": header, "core/good.h": header, "reactor/epoll/good.h": header, "core/good.c": GOOD}
    tree["tests/symbols.txt"] = "rp_public\n"
    for room in list(ROOMS) + ["base"]:
        tree[room + "/CMakeLists.txt"] = "# The sources.\nbad.c good.c\n"
    failed = [f"a good file is found bad: {finding}" for finding in check_tree(tree)]
    cmake = "foreach(m a b)\n f(x/t_${m}.c)\n g(${D}/c.c)"
    if [name for name in ("t_a.c", "t_b.c", "t_d.c", "c.c", "d.c") if is_listed(name, cmake)] != ["t_a.c", "t_b.c", "c.c"]:
        failed.append("the names of a foreach are not found")
    for rule, path, text in bad:
        found = {finding[2] for finding in check_tree({**tree, path: text})}
        if found != {rule}:
            failed.append(f"{path} breaks {rule}, found: {', '.join(sorted(found)) or 'nothing'}\n{text[:200]}")
    print("\n".join(failed) if failed else f"{len(bad)} bad examples found, 1 good one passed")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    files = tree_files()
    findings = list(check_tree(files))
    for path, line, rule, what in findings:
        print(f"{path}:{line}: {rule}: {what}")
    if not files:
        print("tidy: no files found", file=sys.stderr)
        return 1
    print(f"tidy: {len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
