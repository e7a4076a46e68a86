import tempfile
import unittest
from pathlib import Path

from package import package


class Package(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "binary"
        self.source.write_bytes(b"one")

    def zipped(self, name):
        target = self.folder / name / "bootstrap.zip"
        written = package(self.source, target, 9)
        return written, target.read_bytes()

    def test_the_same_binary_gives_the_same_bytes(self):
        _, first = self.zipped("a")
        self.source.touch()
        _, second = self.zipped("b")
        self.assertEqual(first, second)

    def test_a_zip_is_written_only_where_its_binary_changed(self):
        self.assertTrue(self.zipped("a")[0])
        self.assertFalse(self.zipped("a")[0])
        self.source.touch()
        self.assertFalse(self.zipped("a")[0])
        self.source.write_bytes(b"two")
        self.assertTrue(self.zipped("a")[0])


if __name__ == "__main__":
    unittest.main()
