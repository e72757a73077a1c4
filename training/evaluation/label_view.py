#!/usr/bin/env python3
"""Look at pictures with a coordinate grid, and at the near/far pairs drawn on them.

    label_view.py grid  ROOT IMAGE OUT.png [--frame N] [--crop x0,y0,x1,y1] [--step 0.05]
    label_view.py pairs ROOT IMAGE OUT.png [--frame N] [--crop x0,y0,x1,y1] [--only 3,4,5]
    label_view.py check [ROOT]

ROOT is the folder that holds photos/ and clips/ (the pictures are not kept in
this project).  IMAGE is a path inside it, as in pairs.json.  `pairs` draws the
pairs of pairs.json that belong to the picture: near = red, far = blue, joined
by a line and numbered by their place in the picture's own list.  `check`
validates pairs.json, prints the counts, and with ROOT also compares the
pictures' SHA-256.  Needs Pillow, and ffmpeg for clips.
"""
import argparse
import collections
import hashlib
import io
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PAIRS = os.path.join(HERE, "pairs.json")


def load_picture(root, image, frame):
    from PIL import Image
    path = os.path.join(root, image)
    if frame is None:
        return Image.open(path).convert("RGB")
    png = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-vf", "select=eq(n\\,%d)" % frame,
         "-vframes", "1", "-f", "image2pipe", "-vcodec", "png", "-"],
        check=True, stdout=subprocess.PIPE).stdout
    return Image.open(io.BytesIO(png)).convert("RGB")


def view(picture, crop, size):
    """Crop (normalised box) and scale so that the longer side has `size` pixels."""
    from PIL import Image
    w, h = picture.size
    x0, y0, x1, y1 = crop
    box = (x0 * w, y0 * h, x1 * w, y1 * h)
    scale = size / max(box[2] - box[0], box[3] - box[1])
    out = picture.resize((max(1, round((box[2] - box[0]) * scale)),
                          max(1, round((box[3] - box[1]) * scale))),
                         Image.BICUBIC, box=box)

    def place(x, y):
        return (x * w - box[0]) * scale, (y * h - box[1]) * scale
    return out, place, w * scale


def font(size):
    from PIL import ImageFont
    return ImageFont.load_default(size)


def text(draw, xy, s, fill, size=15):
    draw.text(xy, s, fill=fill, font=font(size), stroke_width=2, stroke_fill=(0, 0, 0))


def draw_grid(img, place, crop, step):
    from PIL import ImageDraw
    draw = ImageDraw.Draw(img, "RGBA")
    n = int(round(1 / step))
    for i in range(n + 1):
        v = i * step
        strong = i % 2 == 0
        ink = (255, 255, 0, 150 if strong else 80)
        if crop[0] <= v <= crop[2]:
            x = place(v, 0)[0]
            draw.line([(x, 0), (x, img.height)], fill=ink)
            text(draw, (x + 2, 1), "%.3g" % v, (255, 255, 0))
            text(draw, (x + 2, img.height / 2), "%.3g" % v, (255, 255, 0), 11)
        if crop[1] <= v <= crop[3]:
            y = place(0, v)[1]
            draw.line([(0, y), (img.width, y)], fill=ink)
            text(draw, (1, y + 1), "%.3g" % v, (0, 255, 255))
            text(draw, (img.width / 2, y + 1), "%.3g" % v, (0, 255, 255), 11)


def draw_pairs(img, place, width, pairs, only):
    from PIL import ImageDraw
    draw = ImageDraw.Draw(img, "RGBA")
    clear = 0.012 * width          # no depth edge may lie inside this ring
    for i, p in enumerate(pairs):
        if only and i not in only:
            continue
        a, b = place(*p["near"]), place(*p["far"])
        draw.line([a, b], fill=(255, 255, 255, 110), width=1)
        for (x, y), ink in ((a, (255, 40, 40)), (b, (60, 120, 255))):
            draw.ellipse([x - clear, y - clear, x + clear, y + clear], outline=ink + (255,), width=2)
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=ink + (255,))
            text(draw, (x + clear * 0.7, y - clear - 8), str(i),
                 (255, 120, 120) if ink[0] == 255 else (140, 190, 255), 16)


def key(p):
    return p["image"] if p.get("frame") is None else "%s#%d" % (p["image"], p["frame"])


def lower_is_nearer(pairs):
    """Score of the rule `the lower point is the nearer one`; same height = half right."""
    s = 0.0
    for p in pairs:
        d = p["near"][1] - p["far"][1]
        s += 0.5 if abs(d) < 0.005 else float(d > 0)
    return s / len(pairs)


def check(root):
    with open(PAIRS) as f:
        data = json.load(f)
    pairs, bad, seen = data["pairs"], [], set()
    groups = collections.OrderedDict()
    for i, p in enumerate(pairs):
        groups.setdefault(key(p), []).append(p)
        vals = p["near"] + p["far"]
        if len(vals) != 4 or not all(0 < v < 1 for v in vals) or not p.get("why"):
            bad.append("pair %d is malformed: %r" % (i, p))
        if p["image"] not in data["images"]:
            bad.append("pair %d: no such image in the table" % i)
        k = (key(p), tuple(p["near"]), tuple(p["far"]))
        if k in seen:
            bad.append("pair %d is a repeat" % i)
        seen.add(k)
    for k, g in groups.items():
        print("%-28s %3d pairs   lower is nearer %.2f" % (k, len(g), lower_is_nearer(g)))
    up = sum(p["near"][1] < p["far"][1] - 0.005 for p in pairs)
    level = sum(abs(p["near"][1] - p["far"][1]) <= 0.005 for p in pairs)
    print("%d pairs on %d pictures; near point higher in %d, level in %d; lower is nearer %.3f"
          % (len(pairs), len(groups), up, level, lower_is_nearer(pairs)))
    if root:
        for image, row in data["images"].items():
            with open(os.path.join(root, image), "rb") as f:
                if hashlib.sha256(f.read()).hexdigest() != row["sha256"]:
                    bad.append("%s: SHA-256 differs" % image)
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["grid", "pairs", "check"])
    ap.add_argument("root", nargs="?")
    ap.add_argument("image", nargs="?")
    ap.add_argument("out", nargs="?")
    ap.add_argument("--frame", type=int)
    ap.add_argument("--crop", default="0,0,1,1")
    ap.add_argument("--step", type=float, default=0.05)
    ap.add_argument("--only", default="")
    ap.add_argument("--size", type=int, default=1500)
    a = ap.parse_args()
    if a.what == "check":
        return check(a.root)
    if not a.out:
        ap.error("ROOT, IMAGE and OUT are needed")
    crop = [float(v) for v in a.crop.split(",")]
    img, place, width = view(load_picture(a.root, a.image, a.frame), crop, a.size)
    if a.what == "grid":
        draw_grid(img, place, crop, a.step)
    else:
        with open(PAIRS) as f:
            pairs = json.load(f)["pairs"]
        pairs = [p for p in pairs if p["image"] == a.image and p.get("frame") == a.frame]
        draw_pairs(img, place, width, pairs, {int(v) for v in a.only.split(",") if v})
    img.save(a.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
