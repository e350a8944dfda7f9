"""What is counted, for Prometheus: reviews, findings, seconds, and the certificate's last second.

Labels are modes, outcomes and rule ids, all of which are finite.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gpuyard.web.admission.answers import Answer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0)


class Measures:
    """The metrics of one webhook."""

    def __init__(self, certificate_ends_s: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._reviews = Counter(
            "gpuyard_webhook_reviews",
            "Reviews answered.",
            ("mode", "outcome"),
            registry=self.registry,
        )
        self._findings = Counter(
            "gpuyard_webhook_findings", "Findings in reviews.", ("rule",), registry=self.registry
        )
        self._rejected = Counter(
            "gpuyard_webhook_rejected_requests",
            "Requests that were no review, by HTTP status.",
            ("status",),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "gpuyard_webhook_review_seconds",
            "Time from a whole review to its answer.",
            buckets=SECONDS,
            registry=self.registry,
        )
        ends = Gauge(
            "gpuyard_webhook_certificate_not_after_seconds",
            "When the serving certificate ends, in seconds since 1970.",
            registry=self.registry,
        )
        ends.set_function(certificate_ends_s)

    def count(self, mode: str, answer: Answer, seconds: float) -> None:
        """Count one answer."""
        self._reviews.labels(mode, answer.outcome).inc()
        self._seconds.observe(seconds)
        for rule in answer.rules:
            self._findings.labels(rule).inc()

    def reject(self, status: int) -> None:
        """Count a request that was no review."""
        self._rejected.labels(str(status)).inc()

    def text(self) -> bytes:
        """Return everything in the form that Prometheus reads."""
        return generate_latest(self.registry)
