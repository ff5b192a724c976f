"""The text of a lease in a bucket: one object, replaced only by who names its generation."""

from contextlib import suppress

from sidecar.backup_ports import Conflict
from sidecar.errors import NameTaken, ObjectMissing, StoreFailed
from sidecar.store_urls import StoreUrl
from sidecar.stores.gcs import PATIENCE, SECONDS, GcsStore, Retained, translated

KEY = "lease.json"

TRIES = 3


class GcsSlot:
    """
    One object below a store's prefix.

    Every request names the generation that it is for, so that the service itself decides of two
    who is late: https://cloud.google.com/storage/docs/request-preconditions.
    """

    def __init__(self, url: StoreUrl) -> None:
        self.store = GcsStore(url)

    @property
    def name(self) -> str:
        """How people find it: `gcloud storage` takes it as it is."""
        return f"{self.store.name}/{KEY}"

    def read(self) -> tuple[str, str]:
        """
        Read the text and its generation; both are empty where there is none.

        Raises:
            StoreFailed: the bucket does not answer, or refuses.

        """
        for _ in range(TRIES):
            try:
                blob = self.store.present(KEY)
            except ObjectMissing:
                return "", ""
            generation = blob.generation  # the library forgets it where a download does not name it
            # of exactly that generation: what was written since is another text
            with suppress(ObjectMissing, NameTaken), translated(KEY):
                data: bytes = blob.download_as_bytes(
                    raw_download=True,
                    if_generation_match=generation,
                    timeout=SECONDS,
                    retry=PATIENCE,
                )
                return data.decode(errors="replace"), str(generation)
        raise StoreFailed.for_now("it changes all the time")

    def replace(self, text: str, generation: str) -> None:
        """
        Write another text in the place of that generation.

        Raises:
            Conflict: there is another generation.
            StoreFailed: the bucket does not answer, or refuses.

        """
        try:
            with translated(KEY):
                self.store.blob(KEY).upload_from_string(
                    text,
                    content_type="application/json",
                    if_generation_match=int(generation or 0),  # 0: there is none
                    checksum="crc32c",
                    timeout=SECONDS,
                    retry=PATIENCE,
                )
        except NameTaken:
            # it may be our own: a try before this one arrived, and its reply was lost
            if self.read()[0] != text:
                raise Conflict from None
        except ObjectMissing:
            raise Conflict from None
        except Retained as error:
            raise StoreFailed(
                "the bucket's retention policy does not let it be replaced",
                hint="In RAM mode take a bucket without one: soft delete and object versioning"
                " protect backups, too.",
            ) from error
