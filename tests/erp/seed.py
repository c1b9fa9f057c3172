"""Fills a new Tryton database with the base data of tests and demo, through proteus, Tryton's own client library.

Called by prepare.py as `seed.py CONF FOLDER`; writes FOLDER/ids.json and FOLDER/keys/NAME.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

from proteus import Model, Wizard, config

COMPANY = "Hanse Manufacturing GmbH"

# slug: (name, street, postal code, city, country, IBAN); the IBANs are the published examples of their countries.
SUPPLIERS = {
    "nordwind": ("Nordwind Office GmbH", "Hafenstrasse 12", "20457", "Hamburg", "DE", "DE89370400440532013000"),
    "baltic": ("Baltic Paper AB", "Skeppsbron 4", "111 30", "Stockholm", "SE", "SE4550000000058398257466"),
    "meridian": ("Meridian Textiles SAS", "8 rue du Port", "13002", "Marseille", "FR", "FR1420041010050500013M02606"),
    "alpine": ("Alpine Tools GmbH", "Bergweg 3", "6020", "Innsbruck", "AT", "AT611904300234573201"),
    "shady": ("Shady Supplies Ltd", "1 Mill Lane", "EC1A 1BB", "London", "GB", "GB29NWBK60161331926819"),
}
COUNTRIES = {"DE": "Germany", "SE": "Sweden", "FR": "France", "AT": "Austria", "GB": "United Kingdom"}

# slug: (name, type, list price, supplier)
PRODUCTS = {
    "chair": ("Office chair", "goods", "149.90", "nordwind"),
    "desk": ("Standing desk", "goods", "620.00", "nordwind"),
    "paper": ("Copy paper, box of 5 reams", "goods", "24.50", "baltic"),
    "drill": ("Cordless drill", "goods", "189.00", "alpine"),
    "cleaning": ("Office cleaning, month", "service", "480.00", "shady"),
}

# The agent's sidecar has the key of `agent-erp`; `clerk` and `auditor` stand for people who use the ERP directly.
USERS = {
    "agent-erp": ("Purchasing agent", ("Purchase", "Bank Administration")),
    "clerk": ("Carla Clerk", ("Purchase", "Purchase Administrator", "Bank Administration", "Party Administration")),
    "auditor": ("Arne Auditor", ()),
}


def make_company(ids):
    Currency = Model.get("currency.currency")
    euro = Currency(name="Euro", symbol="€", code="EUR", digits=2, rounding=Decimal("0.01"))
    euro.save()
    party = Model.get("party.party")(name=COMPANY)
    party.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party = party
    wizard.form.currency = euro
    wizard.execute("add")
    (company,) = Model.get("company.company").find()
    ids["company"], ids["currency"] = company.id, euro.id
    return company


def make_supplier(row, countries, euro):
    name, street, postal_code, city, country, iban = row
    party = Model.get("party.party")(name=name)
    (address,) = party.addresses
    address.street, address.postal_code, address.city = street, postal_code, city
    address.country, address.invoice = countries[country], True
    party.save()
    account = Model.get("bank.account")(currency=euro)
    account.owners.append(Model.get("party.party")(party.id))
    number = account.numbers.new()
    number.type, number.number = "iban", iban
    account.save()
    return {
        "name": name, "party": party.id, "address": party.addresses[0].id,
        "bank_account": account.id, "bank_number": account.numbers[0].id, "iban": iban,
    }


def make_product(row, unit, suppliers, euro):
    name, kind, price, supplier = row
    template = Model.get("product.template")(name=name, type=kind, default_uom=unit)
    template.list_price = Decimal(price)
    template.purchasable = True
    template.purchase_uom = unit
    offer = template.product_suppliers.new()
    offer.party = Model.get("party.party")(suppliers[supplier]["party"])
    offer.currency = euro
    offered = offer.prices.new()
    offered.quantity, offered.unit_price = 0, Decimal(price)
    template.save()
    return {"name": name, "product": template.products[0].id, "price": price, "supplier": supplier}


def make_payment_term():
    term = Model.get("account.invoice.payment_term")(name="30 days net")
    line = term.lines.new()
    line.type = "remainder"
    line.relativedeltas.new().days = 30
    term.save()
    return term.id


def make_user(login, name, groups, company, folder):
    User, Group = Model.get("res.user"), Model.get("res.group")
    user = User(login=login, name=name)
    for group in groups:
        (found,) = Group.find([("name", "=", group)])
        user.groups.append(found)
    user.companies.append(Model.get("company.company")(company.id))
    user.company = Model.get("company.company")(company.id)
    user.save()
    # A key that somebody requests over HTTP works only after an administrator's validation. This one is made by the
    # administrator: the ERP itself draws it and has it validated from the start.
    application = Model.get("res.user.application")(user=user, application="rest")
    application.save()
    application.reload()
    if application.state != "validated" or len(application.key) < 64:
        raise RuntimeError(f"the ERP did not validate the key of {login}")
    path = folder / "keys" / login
    path.touch(mode=0o600)
    path.write_text(application.key)
    return user.id


def main(conf, folder):
    folder = Path(folder)
    (folder / "keys").mkdir(mode=0o700)
    config.set_trytond("sqlite:///erp", config_file=conf)
    ids = {}
    company = make_company(ids)
    admin = Model.get("res.user")(config.get_config().user)
    admin.companies.append(Model.get("company.company")(company.id))
    admin.company = company
    admin.save()
    config.get_config()._context = Model.get("res.user").get_preferences(True, {})

    euro = Model.get("currency.currency")(ids["currency"])
    (unit,) = Model.get("product.uom").find([("name", "=", "Unit")])
    (warehouse,) = Model.get("stock.location").find([("type", "=", "warehouse")])
    ids["unit"], ids["warehouse"] = unit.id, warehouse.id
    ids["payment_term"] = make_payment_term()

    countries = {}
    for code, name in COUNTRIES.items():
        countries[code] = Model.get("country.country")(code=code, name=name)
        countries[code].save()
    ids["suppliers"] = {slug: make_supplier(row, countries, euro) for slug, row in SUPPLIERS.items()}
    ids["products"] = {slug: make_product(row, unit, ids["suppliers"], euro) for slug, row in PRODUCTS.items()}
    ids["users"] = {login: make_user(login, *row, company, folder) for login, row in USERS.items()}
    (folder / "ids.json").write_text(json.dumps(ids, indent=2, ensure_ascii=False) + "\n")


main(*sys.argv[1:])
