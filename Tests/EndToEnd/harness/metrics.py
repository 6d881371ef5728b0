"""`GET /metrics`, read with the parser of PyPI `prometheus_client`."""

from prometheus_client.parser import text_string_to_metric_families


def metrics_of(operator):
    """Every sample of the page."""
    answer = operator.get("/metrics")
    assert answer.status_code == 200, answer.text
    return [one for family in text_string_to_metric_families(answer.text) for one in family.samples]


def sample(operator, name, **labels):
    """The value of one series; it must be there once."""
    (found,) = [one.value for one in metrics_of(operator) if one.name == name and one.labels == labels]
    return found


def total_of(operator, name):
    """The sum of a family's series."""
    return sum(one.value for one in metrics_of(operator) if one.name == name)
