"""The tests: unit on fakes, integration on real servers, e2e on real stacks."""
