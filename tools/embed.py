#!/usr/bin/env python3
"""embed.py FILE NAME - print FILE as a C array of that name."""
import sys

with open(sys.argv[1], "rb") as f:
    data = f.read()
print(f"/* {sys.argv[1].split('/')[-1]}, {len(data)} bytes */")
print(f"static const _Alignas(8) unsigned char {sys.argv[2]}[] = {{")
for at in range(0, len(data), 16):
    print("\t" + " ".join(f"{b}," for b in data[at:at + 16]))
print("};")
