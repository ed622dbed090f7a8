"""What the operator reads of a scored month."""

from dataclasses import replace

from flows.ml import predictions_card
from flows.ml.manifest import File
from flows.ml.predictions import Predictions

FOUND = Predictions(
    model="trip-duration",
    version=2,
    fingerprint="f2",
    run_id="r2",
    dataset="green-trips",
    month="2023-03",
    address="a",
    source=File("raw/green-trips/2023-03/a/data.parquet", 10, "a"),
    data=File("predictions/trip-duration/2023-03/a/v2/d-data.parquet", 12_345, "d"),
    rows=70_000,
    scored=69_900,
    reasons={"no distance": 90, "no pickup_at": 10},
    in_scope=68_000,
    mean_predicted=15.0,
    mean_actual=14.5,
    unit="minutes",
    revision="c0ffee",
    created_at="2023-04-01T00:00:00+00:00",
)


def card(found: Predictions) -> str:
    return predictions_card.card(found, "s3://lake/d-data.parquet", "http://mlflow/#/models/trip-duration/versions/2")


def test_the_card_has_rows_reasons_means_and_where_the_predictions_are() -> None:
    text = card(FOUND)

    for line in (
        "| rows | 70,000 |",
        "| scored | 69,900 |",
        "| without a prediction: no distance | 90 |",
        "| without a prediction: no pickup_at | 10 |",
        "| in the model's scope, of those scored | 68,000 |",
        "| mean prediction of these, minutes | 15.000 |",
        "| mean actual value of these, minutes | 14.500 |",
    ):
        assert line in text.splitlines()
    assert "12,345 bytes of Parquet" in text
    assert "s3://lake/d-data.parquet" in text.splitlines()
    assert "[version 2 in MLflow](http://mlflow/#/models/trip-duration/versions/2)" in text


def test_a_month_with_many_rows_without_a_prediction_is_pointed_out_and_one_with_few_is_not() -> None:
    many = replace(FOUND, scored=65_000, reasons={"no distance": 5_000})

    assert "**7.1% of the rows have no prediction**" in card(many)
    assert "**" not in card(FOUND)


def test_a_month_of_which_nothing_could_be_scored_has_no_means() -> None:
    text = card(replace(FOUND, scored=0, in_scope=0, mean_predicted=None, mean_actual=None))

    assert "| mean prediction of these, minutes |  |" in text.splitlines()


def test_the_sentence_says_what_could_not_be_scored_where_there_is_any() -> None:
    whole = replace(FOUND, scored=70_000, reasons={})

    assert predictions_card.sentence(whole) == "2023-03: 70,000 of 70,000 rows scored by version 2"
    assert predictions_card.sentence(FOUND) == (
        "2023-03: 69,900 of 70,000 rows scored by version 2; 100 (0.1%) could not be"
    )
