"""The checks of how a codec describes itself: its members, its name, its parameters, and `identity`."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from walogs.formats.native import CHECK_BYTES_MAX, CODEC_NAME_MAX, CODEC_PARAMETERS_MAX
from walogs.foundation.foreign import describe_error
from walogs.protocols import Codec, ReparameterizableCodec
from walogs.testing.codec_methods import CodecMethods
from walogs.testing.codec_samples import FRAME, bodies
from walogs.testing.contract import NotOffered, breaks, is_text, must, must_not_raise, rests_on, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DescriptionChecks"]


class DescriptionChecks(CodecMethods):
    """The checks of what a codec says of itself, which the engine stamps into each segment."""

    def test_it_has_the_members(self) -> None:
        """`Codec`: "turns a body into stored bytes and back, and proves that stored bytes are intact." """
        codec = self.codec()
        must(isinstance(codec, Codec), "a member of Codec is missing")
        size: object = codec.check_bytes
        must(type(size) is int and 0 < size <= CHECK_BYTES_MAX, f"check_bytes is {size!r}: 1 to {CHECK_BYTES_MAX}")
        must(type(codec.identity) is bool, f"identity is {codec.identity!r}: True or False")

    def test_its_name_fits_a_header(self) -> None:
        """`Codec.name`: "at most 63 bytes of UTF-8". It is printable, and the same for every object."""
        name = self.codec().name
        must(is_text(name), f"its name is {name!r}")
        size = len(must_not_raise(f"its name, {name!r}, as UTF-8", name.encode))
        must(size <= CODEC_NAME_MAX, f"its name is {size} bytes; {CODEC_NAME_MAX} fit")
        must(name.isprintable(), f"its name is {name!r}: it stands in messages")
        must(self.codec().name == name, f"another object has the name {self.codec().name!r}, not {name!r}")

    def test_its_parameters_are_small_json(self) -> None:
        """`Codec.parameters`: "The engine stamps the parameters in the segment header as JSON." They fit there, and
        come back as they were."""
        parameters = dict(self.codec().parameters())
        text = must_not_raise("as JSON", json.dumps, parameters, allow_nan=False, ensure_ascii=False)
        must(json.loads(text) == parameters, f"JSON gives back something else than {shorten(parameters)}")
        size = len(json.dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
        must(size <= CODEC_PARAMETERS_MAX, f"they are {size} bytes of JSON; {CODEC_PARAMETERS_MAX} fit")

    def test_its_parameters_are_stable(self) -> None:
        """`Codec.parameters`: "The engine stamps the parameters in the segment header". A log is refused whose stamp is
        not what is given."""
        codec = self.codec()
        before = dict(codec.parameters())
        codec.decode(codec.encode(b"a body", FRAME), FRAME)
        must(dict(codec.parameters()) == before, "they differ once it has been used")
        must(dict(self.codec().parameters()) == before, "another object with the same options has others")

    @rests_on("test_its_parameters_are_small_json", "test_its_parameters_are_stable", "test_another_object_decodes")
    def test_its_parameters_are_enough(self) -> None:
        """`Codec.parameters`: "A codec made with them as options has the same parameters, and reads the segment."
        A caller that names no codec has nothing but the stamp."""
        codec = self.codec()
        stamped = json.loads(json.dumps(dict(codec.parameters())))
        remade = must_not_raise(f"a codec made with {shorten(stamped)}", self.remade, codec, stamped)
        must(remade.name == codec.name, f"made with its parameters it has the name {remade.name!r}")
        must(dict(remade.parameters()) == stamped, f"made with them it has others: {shorten(remade.parameters())}")
        for body in bodies():
            told = f"decode() of a body of {len(body)} bytes, by a codec made with its parameters"
            got = must_not_raise(told, remade.decode, codec.encode(body, FRAME), FRAME)
            must(got == body, f"{told}, gives another body")

    def remade(self, codec: Codec, parameters: Mapping[str, object]) -> Codec:
        """Return the codec that walogs makes for a segment that is stamped with these parameters."""
        if isinstance(codec, ReparameterizableCodec):
            return codec.with_parameters(parameters)
        return self.make_with(parameters)

    def test_parameters_that_it_does_not_know_are_refused(self) -> None:
        """`ReparameterizableCodec.with_parameters`: "Raise `ValueError`, with the reason, if none has." Whatever a
        stamp says."""
        codec = self.codec()
        if not isinstance(codec, ReparameterizableCodec):
            raise NotOffered("it has no with_parameters(): it is made anew, by its name")
        own: dict[str, object] = dict(codec.parameters())
        others: list[dict[str, object]] = [
            {**own, "walogs-conformance": 1},
            {"walogs-conformance": "of another release"},
        ]
        others += [{**own, key: {"walogs-conformance": [own[key]]}} for key in own]
        others += [{**own, key: None} for key in own if own[key] is not None]
        others += [{key: own[key] for key in own if key != without} for without in own]
        for parameters in others:
            try:
                made = codec.with_parameters(parameters)
            except ValueError as refused:
                must(str(refused), f"with_parameters({shorten(parameters)}) is refused without a word")
                continue
            except Exception as error:  # noqa: BLE001 (reported)
                breaks(f"with_parameters({shorten(parameters)}) raises {describe_error(error)}")
            told = f"with_parameters({shorten(parameters)}) gives a codec that has others"
            must(dict(made.parameters()) == parameters, told)

    def test_its_parameters_hold_no_secret(self) -> None:
        """`Codec.parameters`: "It never contains a secret." Nor its name, nor its repr: both stand in messages."""
        codec = self.codec()
        told = f"{codec.name} {json.dumps(dict(codec.parameters()))} {codec!r}"
        for secret in self.secrets():
            forms = {secret.hex(), repr(secret)[2:-1], secret.decode("latin-1"), str(int.from_bytes(secret, "big"))}
            forms |= {base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()}
            shows = any(form.lower() in told.lower() for form in forms)
            must(not shows, "a key stands in its parameters, name or repr")

    def test_identity_is_what_it_says(self) -> None:
        """`Codec.identity`: "Whether `encode` and `decode` return the body as it is." The engine may leave both out."""
        codec = self.codec()
        if not codec.identity:
            raise NotOffered("identity is not declared")
        for body in bodies():
            must(codec.encode(body, FRAME) == body, f"encode() changes a body of {len(body)} bytes")
            must(codec.decode(body, FRAME) == body, f"decode() changes a body of {len(body)} bytes")
