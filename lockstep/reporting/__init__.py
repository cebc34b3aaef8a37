"""Render the report page and the model card from reports/details.json. Start in `page.py`.

`evaluation_results` reads the file, `verdict` and `gate_conditions` write the sentences, `page`
collects the values of the templates.
"""
