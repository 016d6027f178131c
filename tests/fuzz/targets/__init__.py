"""One module for each parser: ``check(data)``, and ``WORDS``, pieces of the grammar that a fuzzer would be long in finding."""
