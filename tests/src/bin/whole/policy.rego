package bench

default allow := false

allow if {
	call := @CALL@
	bound := data.bounds[call.supplier]
	call.currency in {"EUR", "CHF"}
	is_string(call.amount)
	regex.match("^[0-9]+[.][0-9]{2}$", call.amount)
	to_number(call.amount) <= bound
}
