"""Where Hydra reads options from: our folders, read once, and a user's `./conf`, which may not replace Hydra itself."""

import pickle

from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_store import ConfigStore
from hydra.plugins.config_source import ConfigResult

from convarium.config import search_path

LAUNCHER_GROUP = "hydra/launcher"


class UserConfigSource(FileConfigSource):
    """The user's ./conf: searched first, for options of our groups, and for launchers that are not Hydra's own.

    It can't replace a primary config, nor what Hydra itself is made of (logging, output, sweeper …).
    """

    @staticmethod
    def scheme() -> str:
        return "options"

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.rpartition("/")
        if group == LAUNCHER_GROUP:
            files_of_hydra = ConfigStore.instance().list(LAUNCHER_GROUP)
            is_allowed = f"{name}.yaml" not in files_of_hydra
        else:
            is_allowed = bool(group) and not group.startswith("hydra")
        return is_allowed and super().is_config(config_path)


class CopyingConfigRepository(CachingConfigRepository):
    """Reads each file once; composition changes what it is given, so everyone gets a copy."""

    def __init__(self, delegate: IConfigRepository) -> None:
        super().__init__(delegate)
        self._pickled_results: dict[str, bytes] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self._pickled_results:
            file = search_path.find_config_file("conf", config_path.removesuffix(".yaml"))
            if file is not None:
                search_path.read_config_text(file)  # whose mistakes name the file
            self._pickled_results[config_path] = pickle.dumps(super().load_config(config_path))
        result: ConfigResult | None = pickle.loads(self._pickled_results[config_path])
        return result
