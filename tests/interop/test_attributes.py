"""The attributes that coppice knows of each operator are those of ONNX's own schemas, opset by opset."""
import pathlib
import re

import onnx.defs

TABLE = pathlib.Path(__file__).resolve().parents[2] / "runtime" / "ops" / "attributes.c"
ROW = re.compile(r'\{(NULL|"[\w.]+"),\s*"(\w+)",\s*((?:"[^"]*"\s*)+)\}')


def rows():
    """(domain, operator): [(attribute, first opset, last opset or 0)]"""
    found = {}
    for domain, op, text in ROW.findall(TABLE.read_text()):
        words = "".join(re.findall(r'"([^"]*)"', text)).split()
        spans = []
        for word in words:
            name, _, span = word.partition("@")
            first, _, last = span.partition("-")
            spans.append((name, int(first or 1), int(last or 0)))
        found["" if domain == "NULL" else domain.strip('"'), op] = spans
    return found


def check(domain, op, spans):
    newest = onnx.defs.onnx_opset_version() if domain == "" else max(
        s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.domain == domain)
    for opset in range(1, newest + 1):
        try:
            schema = onnx.defs.get_schema(op, opset, domain)
        except onnx.defs.SchemaError:
            continue
        ours = {name for name, first, last in spans if first <= opset and (not last or opset <= last)}
        assert ours == set(schema.attributes), f"{op}, opset {opset}: {sorted(ours ^ set(schema.attributes))}"


def as_schemas_have_them(_):
    found = rows()
    assert len(found) > 100
    for (domain, op), spans in found.items():
        check(domain, op, spans)


def every_operator_has_a_row(context):
    listed = re.findall(r"^(?:ai\.onnx[\w.]*[: ]+)?([A-Z]\w+) +\d", context.coppice("info", "--operators").stdout, re.MULTILINE)
    missing = set(listed) - {op for _, op in rows()}
    assert len(listed) > 100
    assert not missing, f"without a row: {sorted(missing)}"


def tests():
    yield "attributes of every operator", every_operator_has_a_row
    yield "attributes as ONNX has them, opset by opset", as_schemas_have_them
