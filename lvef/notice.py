"""What every table, picture and page says of itself."""

NOT_FOR_DIAGNOSIS = "Research use only, not for diagnosis."
