"""Words that everything else is said in: durations, object keys, reasons, texts. Imports nothing of ours."""
