"""tosclib: reads a TouchOSC layout and prints how many controls it found."""

import sys

import tosclib

root = tosclib.load(sys.argv[1])


def count(node):
    nodes = node.findall("node") if node.tag == "lexml" else node.findall("children/node")
    return sum(1 + count(child) for child in nodes)


assert root.tag == "lexml", root.tag
element = tosclib.ElementTOSC(root[0])
assert element.getPropertyValue("name").text == "lacquer"
print(count(root))
