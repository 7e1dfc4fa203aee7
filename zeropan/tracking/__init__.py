"""MLflow runs, their metrics, parameters and files. Pictures are drawn in zeropan.pictures.

What a run says is put together without MLflow (names, parameters, summary, settings, errors); it
is imported inside functions, by what writes, sends, finds or shows a run.
"""
