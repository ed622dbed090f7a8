"""Runs, versions and the alias of the champion: what of MLflow is asked and told.

A version bears the fingerprint of its training as a tag, given in the call that makes it, so that no version is ever
without its verdict. Where two runs registered one fingerprint, the lowest version stays.
"""

import contextlib
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from flows.ml.registry_errors import RegistryUnreachable, SnapshotUnreadable, VersionMissing, named, unless_there
from flows.ml.serving_requirements import serving_requirements

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import DatasetInput
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

CHAMPION = "champion"
AGAIN = Retry(total=3, backoff_factor=1, status_forcelist=(500, 502, 503, 504), raise_on_status=False)
"""A server that does not answer is asked again at once, after two seconds, and after four more."""


def all_pages(search: Callable[..., Any]) -> list[Any]:
    """What a search of MLflow finds, of all its pages."""
    page = search()
    found = list(page)
    while page.token:
        page = search(page_token=page.token)
        found += page
    return found


@dataclass(frozen=True)
class Version:
    """A registered version and what its tags say: which training it is, and how it was judged.

    ``made_at`` is in seconds since 1970.
    """

    model: str
    number: int
    run_id: str
    fingerprint: str
    tags: Mapping[str, str]
    made_at: float = 0.0

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses of the months that it was trained on and judged by. Raises ``SnapshotUnreadable``."""
        try:
            snapshot = json.loads(self.tags.get("snapshot", "{}"))
            parts = [*snapshot.get("train", ()), *([snapshot["judge"]] if "judge" in snapshot else ())]
            return frozenset(str(part["address"]) for part in parts)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SnapshotUnreadable(
                f"the tag `snapshot` of version {self.number} of {self.model} is none of ours ({error}): put right or "
                "remove it in MLflow, and run this again."
            ) from error


@dataclass(frozen=True)
class Input:
    """A month as MLflow shows it among a run's datasets: ``context`` is training or judging."""

    name: str
    uri: str
    digest: str
    context: str


@dataclass(frozen=True)
class Record:
    """What is kept of a training: ``metrics`` are errors in the model's unit, ``reports`` files people read.

    ``artifacts`` are the files the stored model is made of, by the names ``flows/ml/serving.py`` knows them by;
    ``code`` is a copy of that file and ``example`` a few rows as it takes them.
    """

    model: str
    fingerprint: str
    title: str
    description: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    inputs: Sequence[Input]
    reports: Sequence[Path]
    code: Path
    artifacts: Mapping[str, Path]
    example: "pd.DataFrame"


@dataclass(frozen=True)
class Report:
    """What is kept of a version beside its training: a run of its own under that one, found again by ``key``.

    ``metrics`` are figures MLflow draws over time, ``files`` what people read.
    """

    version: Version
    key: str
    title: str
    description: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Sequence[Path] = ()


class Registry:
    """The tracking server and model registry at ``uri``. Raises RegistryUnreachable, RegistryError, VersionMissing."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    @functools.cached_property
    def _client(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient

        return MlflowClient(self.uri, self.uri)

    def check(self) -> None:
        """Find out within seconds whether the server answers; one that is away for a moment is asked again."""
        try:
            with requests.Session() as session:
                session.mount(self.uri, HTTPAdapter(max_retries=AGAIN))
                session.get(f"{self.uri}/health", timeout=5, stream=True).raise_for_status()
        except requests.RequestException as error:
            raise RegistryUnreachable(
                f"MLflow at {self.uri} does not answer ({type(error).__name__}). Start it, or set MLFLOW_TRACKING_URI."
            ) from error

    def versions(self, model: str, fingerprint: str | None = None) -> list[Version]:
        """The versions of a model, or those of one fingerprint, in order of their numbers."""
        only = f" and tags.fingerprint = '{fingerprint}'" if fingerprint else ""
        with named(self.uri):
            search = functools.partial(self._client.search_model_versions, f"name = '{model}'{only}", max_results=1000)
            found = all_pages(search)
        return sorted((_version(version) for version in found), key=lambda version: version.number)

    def version(self, model: str, number: int) -> Version:
        """One version. Raises VersionMissing."""
        with named(self.uri):
            return _version(self._client.get_model_version(model, str(number)))

    def champion(self, model: str) -> int | None:
        """The version the alias ``champion`` points at."""
        try:
            with named(self.uri):
                return int(self._client.get_model_version_by_alias(model, CHAMPION).version)
        except VersionMissing:
            return None

    def set_champion(self, model: str, number: int) -> None:
        """Point the alias ``champion`` at a version."""
        with named(self.uri):
            self._client.set_registered_model_alias(model, CHAMPION, str(number))

    def mark(self, model: str, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version; one whose value is empty is taken off."""
        there = self.version(model, number).tags
        with named(self.uri):
            for key, value in tags.items():
                if value and there.get(key) != value:
                    self._client.set_model_version_tag(model, str(number), key, value)
                elif not value and key in there:
                    self._client.delete_model_version_tag(model, str(number), key)

    def metrics(self, version: Version) -> dict[str, float]:
        """The metrics of the run a version came from."""
        with named(self.uri):
            return dict(self._client.get_run(version.run_id).data.metrics)

    def download(self, version: Version, folder: Path) -> Path:
        """Fetch the stored model of a version into ``folder``; gives the path to load it from."""
        from mlflow.artifacts import download_artifacts

        with named(self.uri):
            uri = f"models:/{version.model}/{version.number}"
            return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.uri))

    def fetch(self, version: Version, report: str, folder: Path) -> Path:
        """Fetch one of the reports of a version's run into ``folder``. Raises VersionMissing where it has none."""
        from mlflow.artifacts import download_artifacts

        with named(self.uri):
            path = f"report/{report}"
            if path not in {file.path for file in self._client.list_artifacts(version.run_id, "report")}:
                raise VersionMissing(f"The run of version {version.number} of {version.model} has no {path}.")
            uri = f"runs:/{version.run_id}/{path}"
            return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.uri))

    def register(self, record: Record) -> Version:
        """The version of a fingerprint: the one there is, brought up to the newest decision, else a new one.

        Two callers at once both come back with the same version. A call that ended half-way is completed by the next.
        """
        if not (there := self.versions(record.model, record.fingerprint)):
            run_id = self._run(record)
            with named(self.uri):
                self._describe(record, run_id)
                made = self._make_version(record, run_id, self._store(record, run_id))
            there = self.versions(record.model, record.fingerprint) or [made]
        kept = there[0]
        for double in there[1:]:
            self.withdraw(double, kept)
        # The same decision may come to another verdict (a champion was out of order), or have been written half.
        if any(kept.tags.get(key) != value for key, value in record.tags.items() if key != "git_sha"):
            with named(self.uri):
                self._describe(record, kept.run_id)
                self._client.update_model_version(kept.model, str(kept.number), record.description)
                for key, value in record.tags.items():
                    self._client.set_model_version_tag(kept.model, str(kept.number), key, value)
        return self.version(record.model, kept.number)

    def keep(self, report: Report) -> str:
        """The run of a report, new or there already, brought up to what it says; gives the run's id.

        A call that ended half-way is completed by the next.
        """
        from mlflow.entities import Metric, RunTag

        with named(self.uri):
            experiment = self._client.get_run(report.version.run_id).info.experiment_id
            found = self._client.search_runs([experiment], f"tags.report = '{report.key}'", max_results=1)
            tags = {"report": report.key, "mlflow.parentRunId": report.version.run_id}
            run = found[0] if found else self._client.create_run(experiment, tags=tags, run_name=report.title)
            run_id, now = str(run.info.run_id), int(time.time() * 1000)
            kept = {**report.tags, "mlflow.note.content": report.description}
            self._client.log_batch(
                run_id,
                metrics=[Metric(name, value, now, 0) for name, value in report.metrics.items()],
                tags=[RunTag(name, value) for name, value in kept.items()],
            )
            for path in report.files:
                self._client.log_artifact(run_id, str(path), "report")
            self._client.set_terminated(run_id)
        return run_id

    def reports(self, model: str, of: str) -> list[Mapping[str, str]]:
        """The tags of the reports of a model whose tag ``of`` is set, the oldest first."""
        with named(self.uri):
            experiment = self._client.get_experiment_by_name(model)
            if experiment is None:
                return []
            only = f"tags.`{of}` != ''"
            order = ["attributes.start_time ASC"]
            search = functools.partial(self._client.search_runs, [experiment.experiment_id], only, order_by=order)
            runs = all_pages(search)
        return [dict(run.data.tags) for run in runs]

    def run_url(self, run_id: str, ui: str) -> str:
        """Where people see a run."""
        with named(self.uri):
            experiment = self._client.get_run(run_id).info.experiment_id
        return f"{ui}/#/experiments/{experiment}/runs/{run_id}"

    def _run(self, record: Record) -> str:
        """The run of a fingerprint: one that was begun before, else a new one."""
        with named(self.uri):
            experiment = self._experiment(record.model)
            found = self._client.search_runs([experiment], f"tags.fingerprint = '{record.fingerprint}'", max_results=1)
            if found:
                return str(found[0].info.run_id)
            tags = {"fingerprint": record.fingerprint, "mlflow.note.content": record.description}
            return str(self._client.create_run(experiment, tags=tags, run_name=record.title).info.run_id)

    def _experiment(self, name: str) -> str:
        if found := self._client.get_experiment_by_name(name):
            return str(found.experiment_id)
        with unless_there():
            return str(self._client.create_experiment(name))
        found = self._client.get_experiment_by_name(name)
        assert found is not None
        return str(found.experiment_id)

    def _describe(self, record: Record, run_id: str) -> None:
        """Write errors, parameters, months and reports into the run; those of a former decision give way."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in record.metrics.items()],
            params=[Param(key, value) for key, value in record.parameters.items()],
            tags=[RunTag(key, value) for key, value in record.tags.items()],
        )
        self._client.log_inputs(run_id, [_dataset_input(one) for one in record.inputs])
        for path in record.reports:
            self._client.log_artifact(run_id, str(path), "report")

    def _store(self, record: Record, run_id: str) -> str:
        """Store the model in the run; gives its URI."""
        import mlflow.pyfunc

        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=run_id):
            stored = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(record.code),
                artifacts={name: str(path) for name, path in record.artifacts.items()},
                pip_requirements=serving_requirements(),
                signature=_signature(record.example),
                input_example=record.example,
            )
        return str(stored.model_uri)

    def _make_version(self, record: Record, run_id: str, model_uri: str) -> Version:
        with unless_there():
            self._client.create_registered_model(record.model)
        tags = {"fingerprint": record.fingerprint, **record.tags}
        made = self._client.create_model_version(
            record.model,
            model_uri,
            run_id,
            tags=tags,
            description=record.description,
            model_id=model_uri.split("/")[-1],
        )
        return _version(made)

    def withdraw(self, double: Version, kept: Version) -> None:
        """Take back a version that another caller's lower one makes superfluous; that one may do so too."""
        with contextlib.suppress(VersionMissing), named(self.uri):
            self._client.delete_model_version(double.model, str(double.number))
            if double.run_id != kept.run_id:
                self._client.delete_run(double.run_id)


def _signature(example: "pd.DataFrame") -> "ModelSignature":
    from mlflow.models import infer_signature

    return infer_signature(example, np.zeros(1, dtype=np.float64))


def _dataset_input(one: Input) -> "DatasetInput":
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = resolve_dataset_source(one.uri)
    month = Dataset(one.name, one.digest, source._get_source_type(), source.to_json())
    return DatasetInput(month, [InputTag("mlflow.data.context", one.context)])


def _version(found: "ModelVersion") -> Version:
    tags, made_at = dict(found.tags), (found.creation_timestamp or 0) / 1000
    return Version(found.name, int(found.version), str(found.run_id), tags.get("fingerprint", ""), tags, made_at)
