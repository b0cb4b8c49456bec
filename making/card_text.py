"""The words of the model card and of the attributions; the figures come from card.py."""

CARD = """\
---
license: cc-by-sa-4.0
library_name: transformers
pipeline_tag: zero-shot-image-classification
---

# The emoji CLIP that ships with shotdex

A very small CLIP, trained from nothing on {concepts} emoji in four drawing styles. It exists so that every command and
every test of shotdex can run on a real model, offline, in a second. **It knows emoji and little else**: it has never
seen a photograph, and its English is the names and keywords of emoji. Use a published CLIP for anything that matters.

It loads as any CLIP does: `CLIPModel.from_pretrained`, `AutoTokenizer.from_pretrained` and
`AutoImageProcessor.from_pretrained` on this folder.

## Architecture

A `CLIPModel` of {parameters} parameters in float32: pictures of 64 x 64 pixels in patches of 8, 4 layers of width 256
({vision} parameters); a text tower of 4 layers of width 128 ({text}) with a lower-case byte-level BPE tokenizer of
3,072 tokens made for it, at most 32 tokens; a shared space of 192 dimensions. exp(logit_scale) is {scale}.

Pictures are resized and cropped to 64 pixels and normalised with mean 0.8 and standard deviation 0.3. Lay a transparent
picture over white first: that is how training saw it, and conversion to RGB alone may leave a black ground.

## Data

{pictures} pictures: every emoji without skin tones that all four sets draw. Noto Emoji (Apache 2.0), Twemoji (CC BY
4.0), OpenMoji in colour and in black (CC BY-SA 4.0); names and keywords from emojibase (MIT). The npm archives:
{versions}.
Some words were added by hand ("cup" for hot beverage, "dog" for poodle: `ADDED` in making/captions.py). Authors
and licences: LICENSE-ART.md.

## Training

On two processor cores, in about {minutes} minutes, by the scripts in making:

1. a teacher in closed form: gradient directions, ink and colours of each drawing, and the linear discriminants that
   tell the concepts apart whatever the style (features.py, train_teacher.py);
2. the vision tower learns to place every picture where the teacher places it: moved, turned, mirrored, recoloured,
   blurred, greyed, cut to a part, filled to a silhouette, or blended with another;
3. the text tower learns to place captions where the concepts they mean are;
4. both learn together, pictures against the names as the text tower says them.

The layers' matrices are trained by Muon, the rest by AdamW, and the averaged weights are kept. To rerun, from the
repository with its `making` extra installed (npm fetches the pictures):

    python -m making.train --stage teacher
    torchrun --nproc-per-node 2 -m making.train --stage student --minutes 33
    python -m making.train --stage text --minutes 15
    torchrun --nproc-per-node 2 -m making.train --stage joint --minutes 8
    python -m making.train --stage export

The schedule is in minutes, so a rerun comes to somewhat other figures. In the run that made these weights, the text
tower's first seven minutes were AdamW alone, with slightly different word weights.

## What was held out

{trained} pictures were trained on and {held} never seen: for a random fifth of the concepts ({fifth} pictures), and for
each concept of the eight evaluation categories, the drawing in one style. The concept itself was seen, in its three
other styles; black OpenMoji are the outlines of the coloured ones, so holding out one of the two is the mildest case.
{twins} of the {fifth} are drawn exactly like another concept (black OpenMoji has one flag for all countries), which
nobody can tell apart. The held-out fifth also served to choose the kind of teacher and its 192 dimensions, to watch
training, and to set exp(logit_scale), one number that changes no ranking; and the weights of the words in captions.py
were settled after a look at the eight categories. On pictures never looked at, expect a little less.

## Figures

Each with its 95 % interval (Wilson) and n.

Text retrieval: is the picture's own name the nearest, or among the nearest five, of all {concepts} names?

{retrieval}

The eight categories (airplane, car, chair, cup, dog, donkey, duck, hat) from their bare names. Silhouettes are the
filled outline in black; blurred is a Gaussian of 2 pixels at 64. Chance is 0.125. Most of these pictures were seen in
training, though seldom in these conditions; the held-out ones are the second line.

{categories}

## Weak points

- Anything that is not drawn like an emoji. The similarity of a photograph to a text means next to nothing.
- Words outside the names and keywords of emoji; word order and negation.
- Words for what drawings share in meaning and not in looks: "flag of france" and "red heart" find flags and hearts,
  "kitchen" and "weapon" find little.
- Silhouettes of four-legged animals: see dog above.
- Small differences: men and women in the same role, clock faces, flags with few details, arrows left and right.
- The pictures of one concept are few (four), so figures for a single category have wide intervals.

## Licence

The weights are released under CC BY-SA 4.0 (LICENSE). They were computed from drawings under that licence (OpenMoji),
and whether weights are adapted material is not settled; sharing them alike respects the strictest reading.
"""

LICENCES = """\
# Whose pictures and words the model was trained on

The folder holds no pictures, only weights computed from them.

| what | authors | licence | obtained from |
| --- | --- | --- | --- |
| Noto Emoji, images | Google LLC and contributors | Apache License 2.0 <https://www.apache.org/licenses/LICENSE-2.0> \
(the fonts: SIL Open Font License 1.1) | npm emoji-datasource-google 16.0.0 (MIT, Cal Henderson) |
| Twemoji | Copyright Twitter, Inc and other contributors | CC BY 4.0 <https://creativecommons.org/licenses/by/4.0/> \
| npm emoji-datasource-twitter 16.0.0 (MIT, Cal Henderson) |
| OpenMoji, colour and black | All emojis designed by OpenMoji, the open-source emoji and icon project, \
<https://openmoji.org> | CC BY-SA 4.0 <https://creativecommons.org/licenses/by-sa/4.0/> | npm openmoji 17.0.0 |
| emojibase, names and keywords | Copyright (c) 2017-2019 Miles Johnson | MIT | npm emojibase-data 17.0.0 |

Changes made: pictures were rendered or resized to 64 x 64 pixels over white and altered at random during training.

The weights themselves: CC BY-SA 4.0, in full in LICENSE.
"""
