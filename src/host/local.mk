# host: the machine we run on; knows no domain
