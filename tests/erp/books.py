"""Prints what the ERP's own database says about purchases and bank accounts, as JSON.

Called as `books.py FOLDER`, with any Python 3.11. It opens FOLDER/erp.sqlite read-only and asks neither the ERP's
server nor its libraries: what is compared with Aegis's records comes from the tables alone. One read transaction, so
the answer is one moment's state also while the server runs. Amounts are decimal strings, computed from the lines.
Every row counts: on SQLite Tryton stores a purchase whose party does not exist, and here it has no party name.
"""

import json
import sqlite3
import sys
from decimal import Decimal
from pathlib import Path

PURCHASES = """
    SELECT purchase.id, purchase.number, purchase.reference, purchase.description, purchase.state,
           purchase.party AS party_id, party.name AS party, currency.code AS currency
    FROM purchase_purchase AS purchase
    LEFT JOIN party_party AS party ON party.id = purchase.party
    LEFT JOIN currency_currency AS currency ON currency.id = purchase.currency
    ORDER BY purchase.id
"""
LINES = """
    SELECT line.purchase, line.product, template.name, CAST(line.quantity AS TEXT) AS quantity,
           CAST(line.unit_price AS TEXT) AS unit_price
    FROM purchase_line AS line
    LEFT JOIN product_product AS product ON product.id = line.product
    LEFT JOIN product_template AS template ON template.id = product.template
    WHERE line.type = 'line'
    ORDER BY line.id
"""
BANK_NUMBERS = """
    SELECT number.id, number.account, number.number_compact AS iban, owner.owner AS party_id, party.name AS party
    FROM bank_account_number AS number
    LEFT JOIN "bank_account-party_party" AS owner ON owner.account = number.account
    LEFT JOIN party_party AS party ON party.id = owner.owner
    WHERE number.active
    ORDER BY number.id
"""
CENT = Decimal("0.01")


def rows(connection, query):
    return [dict(row) for row in connection.execute(query)]


def main(folder):
    database = Path(folder).resolve() / "erp.sqlite"
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=20, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("BEGIN")
    purchases = {row["id"]: row | {"lines": [], "total": Decimal(0)} for row in rows(connection, PURCHASES)}
    for line in rows(connection, LINES):
        purchase = purchases[line.pop("purchase")]
        quantity, price = Decimal(line["quantity"]).normalize(), Decimal(line["unit_price"])
        line["quantity"] = f"{quantity:f}"
        purchase["lines"].append(line)
        purchase["total"] += (quantity * price).quantize(CENT)
    by_state = {}
    for purchase in purchases.values():
        purchase["total"] = str(purchase["total"].quantize(CENT))
        by_state[purchase["state"]] = by_state.get(purchase["state"], 0) + 1
    json.dump(
        {
            "purchases": list(purchases.values()),
            "purchases_by_state": by_state,
            "bank_numbers": rows(connection, BANK_NUMBERS),
        },
        sys.stdout,
        ensure_ascii=False,
    )
    print()


main(sys.argv[1])
