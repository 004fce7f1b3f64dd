"""Settings that every test shares: threads before torch is imported, hypothesis profiles"""

import os

from hypothesis import HealthCheck, settings

# torch reads these when it is imported, so here is early enough and costs no import of torch.
# Waiting threads sleep: on two cores a spinning pool slows its neighbours down.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("MKL_NUM_THREADS", "2")

# The same examples on every machine; `deep` looks for new ones (make test-all).
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "deep",
    deadline=None,
    max_examples=1000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
