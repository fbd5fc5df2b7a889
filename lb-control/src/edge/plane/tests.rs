mod adopt;
mod at_risk;
mod refuse;
mod site;
mod touched;
mod verify;
